// The entry point: hands the kernel's argument block on.
	.text
	.globl _start
	.type _start, %function
_start:
#if defined(__x86_64__)
	xor %ebp, %ebp
	mov %rsp, %rdi
	and $-16, %rsp
	call probe_main
	hlt
#elif defined(__aarch64__)
	mov x29, #0
	mov x30, #0
	mov x0, sp
	bl probe_main
	brk #0
#endif
	.size _start, . - _start
	.section .note.GNU-stack, "", %progbits
