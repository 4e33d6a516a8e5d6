// long sys_vfork(int (*fn)(void *), void *stack, void *arg, int *tid)
// clone(CLONE_VM | CLONE_VFORK | CLONE_PARENT_SETTID | SIGCHLD) on a stack of the child's own: a child that shared the
// caller's frame could overwrite what the caller still needs.
#include <asm/unistd.h>

#define FLAGS (0x00000100 | 0x00004000 | 0x00100000 | 17)

	.text
	.globl sys_vfork
	.type sys_vfork, %function
#if defined(__x86_64__)
sys_vfork:
	and $-16, %rsi
	sub $16, %rsi
	mov %rdi, 0(%rsi)
	mov %rdx, 8(%rsi)
	mov $FLAGS, %edi
	mov %rcx, %rdx
	xor %r10d, %r10d
	xor %r8d, %r8d
	mov $__NR_clone, %eax
	syscall
	test %rax, %rax
	jnz 1f
	xor %ebp, %ebp
	pop %rax
	pop %rdi
	call *%rax
	mov %eax, %edi
	mov $__NR_exit, %eax
	syscall
	hlt
1:	ret
#elif defined(__aarch64__)
sys_vfork:
	and x1, x1, #-16
	stp x0, x2, [x1, #-16]!
	mov x2, x3
	ldr x0, =FLAGS
	mov x3, #0
	mov x4, #0
	mov x8, #__NR_clone
	svc #0
	cbnz x0, 1f
	mov x29, #0
	mov x30, #0
	ldp x1, x0, [sp], #16
	blr x1
	mov x8, #__NR_exit
	svc #0
	brk #0
1:	ret
#endif
	.size sys_vfork, . - sys_vfork
	.section .note.GNU-stack, "", %progbits
