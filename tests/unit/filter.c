// Lets the runner pick one case of a unit test: SALLYPORT_TEST_CASE is cmocka's pattern. Linked into every unit test.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

__attribute__((constructor)) static void filter(void)
{
	const char *pattern = getenv("SALLYPORT_TEST_CASE");

	if (pattern != NULL)
		cmocka_set_test_filter(pattern);
}
