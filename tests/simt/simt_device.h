/* simt_device.h: device functions that the CUDA headers declare only for nvcc: barriers, warp
 * collectives, atomics and arithmetic intrinsics. Included by simt.h. */
#ifndef SIMT_DEVICE_H
#define SIMT_DEVICE_H

/* --- barriers and warp collectives ------------------------------------------------------------ */

inline void __syncthreads(SIMT_SITE) { simt::barrier(simt::Barrier::plain, 0, site); }
inline int __syncthreads_or(int p, SIMT_SITE) { return simt::barrier(simt::Barrier::any, p, site); }
inline int __syncthreads_and(int p, SIMT_SITE) {
    return simt::barrier(simt::Barrier::all, p, site);
}
inline int __syncthreads_count(int p, SIMT_SITE) {
    return simt::barrier(simt::Barrier::count, p, site);
}
inline void __syncwarp(unsigned mask = 0xffffffffu, SIMT_SITE) {
    simt::collective(simt::Collective::sync, mask, 0, 0, site);
}

template <class T>
inline T __shfl_sync(unsigned mask, T value, int source, int width = 32, SIMT_SITE) {
    const int lane = (int)simt::lane(), first = lane & ~(width - 1);
    return simt::shuffle(mask, value, first + (source & (width - 1)), true, site);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, SIMT_SITE) {
    const int lane = (int)simt::lane(), source = lane + (int)delta;
    return simt::shuffle(mask, value, source, source <= (lane | (width - 1)), site);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, SIMT_SITE) {
    const int lane = (int)simt::lane(), source = lane - (int)delta;
    return simt::shuffle(mask, value, source, source >= (lane & ~(width - 1)), site);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, SIMT_SITE) {
    const int lane = (int)simt::lane(), source = lane ^ bits;
    return simt::shuffle(mask, value, source, source <= (lane | (width - 1)), site);
}

inline unsigned __ballot_sync(unsigned mask, int p, SIMT_SITE) {
    return (unsigned)simt::collective(simt::Collective::ballot, mask, p != 0, 0, site);
}
inline int __any_sync(unsigned mask, int p, SIMT_SITE) { return __ballot_sync(mask, p, site) != 0; }
inline int __all_sync(unsigned mask, int p, SIMT_SITE) {
    return __ballot_sync(mask, !p, site) == 0;
}
inline unsigned __activemask() { return simt::active_mask(); }

inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

/* --- atomics ---------------------------------------------------------------------------------- */

namespace simt {
template <class T, class F> inline T atomic_update(T *p, F next_of) {
    T old, next;
    __atomic_load(p, &old, __ATOMIC_RELAXED);
    do next = next_of(old);
    while (!__atomic_compare_exchange(p, &old, &next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return old;
}
template <class T> using integer = std::enable_if_t<std::is_integral<T>::value, T>;
} // namespace simt

inline float atomicAdd(float *p, float v) {
    return simt::atomic_update(p, [v](float old) { return old + v; });
}
inline double atomicAdd(double *p, double v) {
    return simt::atomic_update(p, [v](double old) { return old + v; });
}
template <class T> inline simt::integer<T> atomicAdd(T *p, std::common_type_t<T> v) {
    return __atomic_fetch_add(p, v, __ATOMIC_RELAXED);
}
template <class T> inline simt::integer<T> atomicSub(T *p, std::common_type_t<T> v) {
    return __atomic_fetch_sub(p, v, __ATOMIC_RELAXED);
}
template <class T> inline simt::integer<T> atomicOr(T *p, std::common_type_t<T> v) {
    return __atomic_fetch_or(p, v, __ATOMIC_RELAXED);
}
template <class T> inline simt::integer<T> atomicAnd(T *p, std::common_type_t<T> v) {
    return __atomic_fetch_and(p, v, __ATOMIC_RELAXED);
}
template <class T> inline simt::integer<T> atomicXor(T *p, std::common_type_t<T> v) {
    return __atomic_fetch_xor(p, v, __ATOMIC_RELAXED);
}
template <class T> inline simt::integer<T> atomicExch(T *p, std::common_type_t<T> v) {
    return __atomic_exchange_n(p, v, __ATOMIC_RELAXED);
}
inline float atomicExch(float *p, float v) {
    return simt::atomic_update(p, [v](float) { return v; });
}
template <class T> inline simt::integer<T> atomicMin(T *p, std::common_type_t<T> v) {
    return simt::atomic_update(p, [v](T old) { return v < old ? v : old; });
}
template <class T> inline simt::integer<T> atomicMax(T *p, std::common_type_t<T> v) {
    return simt::atomic_update(p, [v](T old) { return old < v ? v : old; });
}
template <class T>
inline simt::integer<T> atomicCAS(T *p, std::common_type_t<T> compare, std::common_type_t<T> v) {
    T expected = compare;
    __atomic_compare_exchange_n(p, &expected, (T)v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return expected;
}
inline unsigned atomicInc(unsigned *p, unsigned last) {
    return simt::atomic_update(p, [last](unsigned old) { return old >= last ? 0 : old + 1; });
}

/* --- loads and stores with a cache hint ------------------------------------------------------- */

template <class T> inline T __ldg(const T *p) { return *p; }
template <class T> inline T __ldca(const T *p) { return *p; }
template <class T> inline T __ldcg(const T *p) { return *p; }
template <class T> inline T __ldcs(const T *p) { return *p; }
template <class T> inline void __stwb(T *p, T v) { *p = v; }
template <class T> inline void __stcg(T *p, T v) { *p = v; }
template <class T> inline void __stcs(T *p, T v) { *p = v; }

/* --- arithmetic ------------------------------------------------------------------------------- */

inline float __expf(float x) { return expf(x); }
inline float __exp10f(float x) { return powf(10.0f, x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline void __sincosf(float x, float *s, float *c) { *s = sinf(x), *c = cosf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline float __frcp_rn(float a) { return 1.0f / a; }
inline float __frsqrt_rn(float a) { return 1.0f / sqrtf(a); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; }

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((uint64_t)a * b >> 32); }
inline int __mulhi(int a, int b) { return (int)((int64_t)a * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
inline unsigned __brev(unsigned x) {
    unsigned r = 0;
    for (int i = 0; i < 32; i++) r |= (x >> i & 1) << (31 - i);
    return r;
}

inline int __float_as_int(float x) { return simt::bit_copy<int>(x); }
inline unsigned __float_as_uint(float x) { return simt::bit_copy<unsigned>(x); }
inline float __int_as_float(int x) { return simt::bit_copy<float>(x); }
inline float __uint_as_float(unsigned x) { return simt::bit_copy<float>(x); }
inline long long __double_as_longlong(double x) { return simt::bit_copy<long long>(x); }
inline double __longlong_as_double(long long x) { return simt::bit_copy<double>(x); }
inline int __float2int_rn(float x) { return (int)nearbyintf(x); }
inline int __float2int_rz(float x) { return (int)x; }
inline int __float2int_rd(float x) { return (int)floorf(x); }
inline int __float2int_ru(float x) { return (int)ceilf(x); }
inline float __int2float_rn(int x) { return (float)x; }
inline float __uint2float_rn(unsigned x) { return (float)x; }

template <class A, class B> inline std::common_type_t<A, B> min(A a, B b) {
    static_assert(std::is_arithmetic<A>::value && std::is_arithmetic<B>::value, "numbers only");
    return b < a ? b : a;
}
template <class A, class B> inline std::common_type_t<A, B> max(A a, B b) {
    static_assert(std::is_arithmetic<A>::value && std::is_arithmetic<B>::value, "numbers only");
    return a < b ? b : a;
}
/* As in CUDA, NaN loses. */
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }

#endif
