#include <pthread.h>

#include "tests/certd/rig.h"

/* who has a configuration keeps it, whatever is put in its place */
START_TEST(test_replaced)
{
	struct certd_config one = rig_config("max_requests = 1\n"), two;
	AUTO(settings_putp) const struct certd_config *held = NULL;
	AUTO(settings_putp) const struct certd_config *next = NULL;
	struct settings_box *box = NULL;
	struct err err = { 0 };

	ck_ok(settings_box_new(&one, &box, &err));
	ck_assert_ptr_null(one.homedir);
	held = settings_get(box);
	two = rig_config("max_requests = 2\n");
	ck_ok(settings_box_set(box, &two, &err));
	next = settings_get(box);
	ck_assert_int_eq(held->max_requests, 1);
	ck_assert_int_eq(next->max_requests, 2);
	settings_box_free(box);
	ck_assert_int_eq(next->max_requests, 2);
}
END_TEST

static void *
read_all(void *box)
{
	for (int i = 0; i < 5000; i++) {
		AUTO(settings_putp) const struct certd_config *config = settings_get(box);

		ck_assert_int_eq(config->max_requests, (int64_t)config->principals.n);
	}
	return NULL;
}

START_TEST(test_threads)
{
	struct certd_config config =
	    rig_config("max_requests = 1\n[[principal]]\nuid = 1\ncerts = []\n");
	struct settings_box *box = NULL;
	struct err err = { 0 };
	pthread_t readers[2];

	ck_ok(settings_box_new(&config, &box, &err));
	for (size_t i = 0; i < ARRAY_LEN(readers); i++)
		ck_assert_int_eq(pthread_create(&readers[i], NULL, read_all, box), 0);
	for (int i = 0; i < 20; i++) {
		config = rig_config(i % 2 ? "max_requests = 1\n[[principal]]\nuid = 1\ncerts = []\n"
					  : "max_requests = 2\n[[principal]]\nuid = 1\ncerts = []\n"
					    "[[principal]]\nuid = 2\ncerts = []\n");
		ck_ok(settings_box_set(box, &config, &err));
	}
	for (size_t i = 0; i < ARRAY_LEN(readers); i++)
		pthread_join(readers[i], NULL);
	settings_box_free(box);
}
END_TEST

TEST_MAIN("certd/settings", test_replaced, test_threads)
