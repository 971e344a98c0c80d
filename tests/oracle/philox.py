"""Philox4x32-10 in NumPy: the same draws as tensor/rng.h, so that golden files need no weights."""
import numpy as np

INIT, DROPOUT, STOCHASTIC_DEPTH, SAMPLER, AUGMENT, SPLIT, BOOTSTRAP, PHANTOM, TEST = range(1, 10)


def words(index, seed, purpose, epoch=0, sample=0):
    """index: array of block numbers -> uint32 array [len(index), 4]."""
    index = np.asarray(index, dtype=np.uint64)
    c = [index, np.full_like(index, sample), np.full_like(index, epoch), np.full_like(index, purpose)]
    k0, k1 = np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32)
    mask, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(b >> shift) ^ c[1] ^ k0, b & mask, (a >> shift) ^ c[3] ^ k1, a & mask]
        k0 = (k0 + np.uint64(0x9E3779B9)) & mask
        k1 = (k1 + np.uint64(0xBB67AE85)) & mask
    return np.stack(c, axis=-1).astype(np.uint32)


def uniform(n, seed, purpose, epoch=0, sample=0):
    w = words(np.arange((n + 3) // 4), seed, purpose, epoch, sample).reshape(-1)[:n]
    return (w >> np.uint32(8)).astype(np.float64) * 2.0**-24


def normal(n, seed, purpose, epoch=0, sample=0):
    w = words(np.arange((n + 1) // 2), seed, purpose, epoch, sample).reshape(-1)[: 2 * n].reshape(-1, 2)
    u = (w[:, 0].astype(np.float64) + 0.5) * 2.0**-32
    v = (w[:, 1].astype(np.float64) + 0.5) * 2.0**-32
    return np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * v)
