/* Findings: one text on standard error each, with the source line and the running thread. */
#include "internal.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <link.h>
#include <map>
#include <string>
#include <unistd.h>

namespace simt {
namespace {

int findings;

/* The file a code address lies in and its offset there, as addr2line wants them. */
bool locate(uintptr_t code, std::string *file, uintptr_t *offset) {
    Dl_info info;
    link_map *map = nullptr;
    if (!dladdr1((void *)code, &info, (void **)&map, RTLD_DL_LINKMAP) || !map) return false;
    *file =
        map->l_name && *map->l_name ? map->l_name : "/proc/" + std::to_string(getpid()) + "/exe";
    *offset = code - map->l_addr;
    return true;
}

/* Without the directory that the program was built in or runs in. */
std::string shorten(std::string path) {
    char here[1024];
    if (getcwd(here, sizeof here)) {
        const std::string prefix = std::string(here) + "/";
        if (path.compare(0, prefix.size(), prefix) == 0) path.erase(0, prefix.size());
    }
    while (path.compare(0, 2, "./") == 0) path.erase(0, 2);
    return path;
}

bool is_ours(const std::string &line) {
    const size_t slash = line.rfind('/');
    const std::string name = slash == std::string::npos ? line : line.substr(slash + 1);
    return name.compare(0, 5, "simt.") == 0 || name.compare(0, 12, "simt_device.") == 0 ||
           line.compare(0, 5, "/usr/") == 0 || line.compare(0, 2, "??") == 0;
}

/* Asks addr2line: the innermost line that is not this emulator's, and the outermost one behind it
 * when a helper was inlined. */
std::string look_up(uintptr_t code) {
    std::string file, inner, outer;
    uintptr_t offset;
    char text[1024];
    if (!locate(code, &file, &offset)) return "";
    snprintf(text, sizeof text, "addr2line -i -e '%s' 0x%lx 2>/dev/null", file.c_str(),
             (unsigned long)offset);
    FILE *pipe = popen(text, "r");
    while (pipe && fgets(text, sizeof text, pipe)) {
        std::string line(text);
        line.erase(line.find_last_not_of("\n") + 1);
        line.erase(std::min(line.size(), line.find(" (discriminator")));
        if (is_ours(line)) continue;
        outer = shorten(line);
        if (inner.empty()) inner = outer;
    }
    if (pipe) pclose(pipe);
    return inner == outer ? inner : inner + " (called from " + outer + ")";
}

} // namespace

const char *source_line(uintptr_t code) {
    static auto &known = *new std::map<uintptr_t, std::string>;
    auto it = known.find(code);
    if (it == known.end()) {
        std::string line = look_up(code - 1); /* code is a return address: the call is before it */
        if (line.empty()) line = "an unknown line (was -g left out, or is addr2line missing?)";
        it = known.emplace(code, line).first;
    }
    return it->second.c_str();
}

const char *site_line(Site site) {
    static char text[512];
    snprintf(text, sizeof text, "%s:%d", site.file, site.line);
    return text;
}

const char *thread_name(unsigned thread) {
    static char text[4][48];
    static int next;
    char *out = text[next++ % 4];
    const dim3 b = blockDim;
    snprintf(out, sizeof text[0], "thread (%u,%u,%u)", thread % b.x, thread / b.x % b.y,
             thread / (b.x * b.y));
    return out;
}

void finding(const char *kind, const char *at, const char *format, ...) {
    findings++;
    fprintf(stderr, "simt: %s: ", kind);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    if (at) fprintf(stderr, "\n    at %s", at);
    if (current.what) {
        fprintf(stderr, "\n    in kernel %s, block (%u,%u,%u)", current.what->kernel, blockIdx.x,
                blockIdx.y, blockIdx.z);
        if (current.in_kernel) fprintf(stderr, ", %s", thread_name(current.thread));
        fprintf(stderr, ", launched at %s:%d", current.what->site.file, current.what->site.line);
    }
    fputc('\n', stderr);
    fflush(stderr);
    if (config().stop_at_error) abort();
}

int finding_count() { return findings; }

} // namespace simt

extern "C" __attribute__((visibility("default"))) int simt_findings(void) {
    return simt::finding_count();
}
