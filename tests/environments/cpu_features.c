/* Hides instruction sets from a process, as if its CPU had none of them: a library for LD_PRELOAD.
 *
 *     cc -shared -fPIC -O1 -o cpu_features.so cpu_features.c -ldl
 *     CPU_LEVEL=avx2 LD_PRELOAD=./cpu_features.so python ...      (avx2, avx512, vnni, bfloat16)
 *
 * Each engine detects the CPU by itself; variables such as ONEDNN_MAX_CPU_ISA reach a part of them only, and mixed
 * code crashes. Here the instruction CPUID faults (Linux, CPUs with "cpuid_fault"), and is emulated without the bits
 * above the level. Threads and children inherit it. Without CPUID faulting the process ends with status 99. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_SET_CPUID 0x1012
#define BIT(n) (1u << (n))

enum level { AVX2, AVX512, VNNI, BFLOAT16, ALL };
static enum level level = ALL;
static struct sigaction others; /* what the process itself wants for SIGSEGV */

static long set_cpuid(long enabled) { return syscall(SYS_arch_prctl, ARCH_SET_CPUID, enabled); }

/* Clears what is above the level in the registers a, b, c, d of leaf 7, which has all of these bits. */
static void hide(unsigned subleaf, unsigned r[4]) {
    if (subleaf == 0) {
        if (level < AVX512) {
            r[1] &= ~(BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31));
            r[2] &= ~(BIT(1) | BIT(6) | BIT(12) | BIT(14));
            r[3] &= ~(BIT(2) | BIT(3) | BIT(8));
        }
        if (level < VNNI) r[2] &= ~BIT(11);
        r[3] &= ~(BIT(22) | BIT(23) | BIT(24) | BIT(25)); /* AMX, AVX512-FP16 */
    } else if (subleaf == 1) {
        if (level < VNNI) r[0] &= ~BIT(4);
        if (level < BFLOAT16) r[0] &= ~BIT(5);
        r[0] &= ~(BIT(21) | BIT(23));
        r[3] &= ~(BIT(4) | BIT(5) | BIT(8) | BIT(10) | BIT(19));
    }
}

static void on_fault(int number, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *code = (const unsigned char *)registers[REG_RIP];
    if (info->si_code == SI_KERNEL && code[0] == 0x0f && code[1] == 0xa2) {
        unsigned leaf = (unsigned)registers[REG_RAX], subleaf = (unsigned)registers[REG_RCX], r[4];
        set_cpuid(1);
        __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(subleaf));
        set_cpuid(0);
        if (leaf == 7) hide(subleaf, r);
        registers[REG_RAX] = r[0];
        registers[REG_RBX] = r[1];
        registers[REG_RCX] = r[2];
        registers[REG_RDX] = r[3];
        registers[REG_RIP] += 2;
    } else if (others.sa_flags & SA_SIGINFO) {
        others.sa_sigaction(number, info, context);
    } else if (others.sa_handler != SIG_DFL && others.sa_handler != SIG_IGN) {
        others.sa_handler(number);
    } else {
        signal(SIGABRT, SIG_DFL);
        abort();
    }
}

typedef int (*sigaction_type)(int, const struct sigaction *, struct sigaction *);

static int real_sigaction(int number, const struct sigaction *wanted, struct sigaction *before) {
    static sigaction_type real;
    if (!real) real = (sigaction_type)dlsym(RTLD_NEXT, "sigaction");
    return real(number, wanted, before);
}

/* Others may set a handler of their own, such as Python's faulthandler: it is called for all other faults. */
int sigaction(int number, const struct sigaction *wanted, struct sigaction *before) {
    if (number != SIGSEGV || level == ALL) return real_sigaction(number, wanted, before);
    if (before) *before = others;
    if (wanted) others = *wanted;
    return 0;
}

__attribute__((constructor)) static void start(void) {
    static const char *names[] = {"avx2", "avx512", "vnni", "bfloat16"};
    const char *name = getenv("CPU_LEVEL");
    for (int i = 0; name && i < ALL; i++)
        if (!strcmp(name, names[i])) level = (enum level)i;
    if (level == ALL) return;
    struct sigaction ours = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    real_sigaction(SIGSEGV, &ours, NULL);
    if (set_cpuid(0) != 0) _exit(99);
}
