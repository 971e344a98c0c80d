# Lists mutants of CUDA sources, one a line: file, line, kind and the changed line, by tabs.
#
# Left out is what changes no result by construction, or makes no program:
#   - comments, preprocessor lines, static_assert;
#   - arguments of mg_cuda_cost and sums of bytes for it: an estimate for the audit's table;
#   - enum blocks and declarations of shared memory: a larger array than is used is only larger;
#   - rounding up in mg_ceil_div: one more block, whose threads find nothing to do;
#   - steps of loops written over several lines: endless loops say nothing about tests.
function emit(kind, changed) {
    if (changed != code) printf "%s\t%d\t%s\t%s\n", FILENAME, FNR, kind, changed comment_tail
}
function replaced(from, to,    text) { text = code; sub(from, to, text); return text }
function depth(text,    opened, closed) {
    opened = gsub(/\(/, "", text); closed = gsub(/\)/, "", text); return opened - closed
}
FNR == 1 { comment = in_enum = cost = 0 }
/^ *\/\*/ { comment = 1 }
{ skip = comment || /^#/ || /^ *\/\// || /static_assert/ }
/\*\// { comment = 0 }
skip { next }
{
    at = match($0, /[ ]*(\/\*|\/\/)/)
    code = at ? substr($0, 1, RSTART - 1) : $0
    comment_tail = at ? substr($0, RSTART) : ""
}
code ~ /mg_cuda_cost\(/ { cost = depth(substr(code, index(code, "mg_cuda_cost"))); if (cost <= 0) next }
cost > 0 { if (code !~ /mg_cuda_cost\(/) cost += depth(code); next }
code ~ /(bytes|elements|n) \+= (u->n|\(double\))/ { next }
code ~ /enum \{/ { in_enum = 1 }
in_enum { if (code ~ /\}/) in_enum = 0; next }
code ~ /MG_SHARED\(/ || code ~ / mg_ceil_div\(int64_t a/ { next }

code ~ /__syncthreads\(\);/ { emit("no barrier", replaced("__syncthreads\\(\\);", ";")) }
code ~ /__syncwarp\(\);/ { emit("no warp barrier", replaced("__syncwarp\\(\\);", ";")) }
code ~ /cudaEventSynchronize\(|cudaStreamSynchronize\(|cudaStreamWaitEvent\(|cudaEventRecord\(/ {
    emit("no wait", replaced("cuda(EventSynchronize|StreamSynchronize)\\([^()]*\\)", "cudaSuccess"))
    emit("no wait", replaced("cuda(StreamWaitEvent|EventRecord)\\(.*(emptied|arrived)(, 0|, mg_cuda_copy_stream\\(\\)|, mg_cuda_stream\\(\\))\\)", "cudaSuccess"))
}
code ~ /(if|for|while) \(.* < / { emit("< to <=", replaced(" < ", " <= ")) }
code ~ /if \([^()]* < [^()]*\)/ { emit("no tail check", replaced("if \\([^()]* < [^()]*\\)", "if (true)")) }
code ~ /if \([^()]* >= [^()]*\) (return|continue);/ { emit("no tail check", replaced("if \\([^()]* >= [^()]*\\)", "if (false)")) }
code ~ / \+= / && code !~ /for \(/ && code ~ /;/ { emit("+= to =", replaced(" \\+= ", " = ")) }
code ~ /\/= 2\)|>>= 1\)/ { emit("weak reduction", replaced("/= 2\\)", "/= 4)")); emit("weak reduction", replaced(">>= 1\\)", ">>= 2)")) }
code ~ /= blockIdx\.x|\+ threadIdx\.x/ {
    # A shift before the remainder would only deal the same work to other lanes.
    if (code ~ /threadIdx\.x % [A-Z_]+/) emit("shifted index", replaced("threadIdx\\.x % [A-Z_]+", "& + 1"))
    else emit("shifted index", replaced("threadIdx\\.x", "(threadIdx.x + 1)"))
}
code ~ /\[[a-z]+\]/ && code ~ /;/ && code ~ /=/ && code !~ /\{/ && code !~ /^ *const mg/ { if (match(code, /[a-z]\]/)) emit("index + 1", substr(code, 1, RSTART) " + 1" substr(code, RSTART + 1)) }
code ~ / \+ 1\)|- 1\)/ { emit("off by one", replaced(" \\+ 1\\)", " + 2)")); emit("off by one", replaced(" - 1\\)", ")")) }
code ~ /blockIdx\.y/ { emit("swapped index", replaced("blockIdx\\.y", "blockIdx.x")) }
code ~ /plus\(|mul\(/ && code ~ /=/ { emit("other operation", replaced("mul\\(", "plus(")) }
