# Lists mutants of CUDA sources, one a line: file, line, kind and the changed line, by tabs.
function emit(kind, changed) { if (changed != $0) printf "%s\t%d\t%s\t%s\n", FILENAME, FNR, kind, changed }
function replaced(from, to,    text) { text = $0; sub(from, to, text); return text }
FNR == 1 { comment = 0 }
/^ *\/\*/ { comment = 1 }
{ skip = comment || /^#/ || /^ *\/\// || /static_assert/ }
/\*\// { comment = 0 }
skip { next }
/__syncthreads\(\);/ { emit("no barrier", replaced("__syncthreads\\(\\);", ";")) }
/__syncwarp\(\);/ { emit("no warp barrier", replaced("__syncwarp\\(\\);", ";")) }
/(if|for|while) \(.* < / { emit("< to <=", replaced(" < ", " <= ")) }
/if \([^()]* < [^()]*\)/ { emit("no tail check", replaced("if \\([^()]* < [^()]*\\)", "if (true)")) }
/if \([^()]* >= [^()]*\) (return|continue);/ { emit("no tail check", replaced("if \\([^()]* >= [^()]*\\)", "if (false)")) }
/ \+= / && !/for \(/ { emit("+= to =", replaced(" \\+= ", " = ")) }
/\/= 2\)|>>= 1\)/ { emit("weak reduction", replaced("/= 2\\)", "/= 4)")); emit("weak reduction", replaced(">>= 1\\)", ">>= 2)")) }
/= blockIdx\.x|\+ threadIdx\.x/ { emit("shifted index", replaced("threadIdx\\.x", "threadIdx.x + 1")) }
/\[[a-z]+\]/ && /;/ && /=/ && !/\{/ && !/^ *(MG_SHARED|const mg)/ { if (match($0, /[a-z]\]/)) emit("index + 1", substr($0, 1, RSTART) " + 1" substr($0, RSTART + 1)) }
/ \+ 1\)|- 1\)/ { emit("off by one", replaced(" \\+ 1\\)", " + 2)")); emit("off by one", replaced(" - 1\\)", ")")) }
/blockIdx\.y/ { emit("swapped index", replaced("blockIdx\\.y", "blockIdx.x")) }
