#include "catalog/registry.h"

#include "lib/real_data.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static int load(void **state)
{
    struct err e = {0};
    struct registry *r = NULL;
    if (registry_load(NULL, &r, &e) != 0)
        fail_msg("%s", e.text);
    *state = r;
    return 0;
}

static int unload(void **state)
{
    registry_free(*state);
    return 0;
}

static void test_datasets(void **state)
{
    struct registry *r = *state;
    assert_int_equal(registry_count(r), 36);
    for (size_t i = 0; i < registry_count(r); i++) {
        const struct dataset *d = registry_at(r, i);
        assert_int_equal(registry_find(r, d->id), i);
        assert_non_null(d->title);
        assert_non_null(d->description);
        assert_non_null(d->keywords);
        if (i > 0 && i + 1 < registry_count(r))
            assert_true(strcmp(registry_at(r, i - 1)->id, d->id) < 0);
    }
    assert_string_equal(registry_at(r, 35)->id, "unsorted");
    assert_null(registry_at(r, 35)->licence);
    assert_int_equal(registry_find(r, "hcp"), SIZE_MAX);
    assert_int_equal(registry_find(r, ""), SIZE_MAX);
}

static const struct dataset *get(const struct registry *r, const char *id)
{
    size_t i = registry_find(r, id);
    assert_int_not_equal(i, SIZE_MAX);
    return registry_at(r, i);
}

static void test_licences(void **state)
{
    static const struct {
        const char *id, *licence;
    } known[] = {
        {"HCP", "LicenseRef-HCP-Data-Use-Terms"},
        {"GLISRT", "LicenseRef-TCIA-Restricted"},
        {"LUMIERE", "LicenseRef-CC-BY-NC"},
        {"ToothFairy", "LicenseRef-CC-BY-SA"},
        {"KiTS21", "MIT"},
        {"CT-ORG", "CC0-1.0"},
        {"TotalSegmentator", "CC-BY-4.0"},
        {"EMIDEC", "CC-BY-NC-SA-4.0"},
        {"3DTeethSeg", "CC-BY-NC-ND-4.0"},
    };
    static const char *const none[] = {
        "AbdomenAtlas", "ASOCA",   "BraTS", "Calgary-campinas", "DigitalBodyPreservation",
        "FLARE",        "HECKTOR", "LiTS",  "PROMISE",          "TCGA-GBM"};
    size_t unstated = 0;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        assert_string_equal(registry_licence(get(*state, known[i].id)), known[i].licence);
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_string_equal(registry_licence(get(*state, none[i])), "unstated");
    for (size_t i = 0; i < 35; i++)
        unstated += registry_at(*state, i)->licence == NULL;
    assert_int_equal(unstated, 10);
}

static void test_nothing_invented(void **state)
{
    size_t doubts = 0, without_bibtex = 0;
    for (size_t i = 0; i < 35; i++) {
        const struct dataset *d = registry_at(*state, i);
        doubts += d->doubt != NULL;
        without_bibtex += d->bibtex == NULL;
        assert_true((d->licence == NULL) == (d->licence_text == NULL));
    }
    assert_int_equal(doubts, 3);
    assert_int_equal(without_bibtex, 2);
    assert_non_null(strstr(get(*state, "BraTS")->doubt, "LUMIERE"));
    assert_non_null(strstr(get(*state, "SkullFix")->doubt, "MUG500+"));
    assert_non_null(strstr(get(*state, "VerSe")->doubt, "likely but not certain"));
    assert_null(get(*state, "MRIGBM")->bibtex);
    assert_null(get(*state, "DigitalBodyPreservation")->homepage);
    assert_non_null(strstr(registry_medshapenet_bibtex(), "10.1515/bmt-2024-0396"));
    assert_non_null(strstr(registry_medshapenet_bibtex(), "2308.16139"));
}

struct expectation {
    const char *name, *dataset, *anatomy, *subject;
    enum side side;
};

static void expect(const struct registry *r, const struct expectation *want, size_t forced)
{
    struct shape_name got;
    registry_classify(r, want->name, strlen(want->name), forced, &got);
    assert_string_equal(registry_at(r, got.dataset)->id, want->dataset);
    assert_string_equal(got.anatomy, want->anatomy);
    assert_int_equal(got.subject_len, strlen(want->subject));
    assert_memory_equal(got.subject, want->subject, got.subject_len);
    assert_int_equal(got.side, want->side);
}

static void test_name_formats(void **state)
{
    static const struct expectation cases[] = {
        {"s0000_iliac_vena_right.nii.g_1.stl", "TotalSegmentator", "iliac_vein", "s0000",
         SIDE_RIGHT},
        {"s1273_rib_left_12.nii.g_1.stl", "TotalSegmentator", "rib_12", "s1273", SIDE_LEFT},
        {"s0605_vertebrae_T8.nii.g_1.stl", "TotalSegmentator", "vertebra_t8", "s0605", SIDE_NONE},
        {"000000_vertebrae.stl", "VerSe", "vertebra", "000000", SIDE_NONE},
        {"000299_tumoredKidney.stl", "KiTS21", "kidney_tumor", "000299", SIDE_NONE},
        {"000921_tumoredbrain.stl", "BraTS", "brain_tumor", "000921", SIDE_NONE},
        {"100206_brain.stl", "HCP", "brain", "100206", SIDE_NONE},
        {"996782_skull.stl", "HCP", "skull", "996782", SIDE_NONE},
        {"103_instrument3DCOSI_SelfRetainingRetractors.stl", "3D-COSI",
         "instrument_self_retaining_retractors", "103", SIDE_NONE},
        {"vessel_tree_55.stl", "AVT", "aortic_vessel_tree", "55", SIDE_NONE},
        {"face_1.stl", "FacialModels", "face", "1", SIDE_NONE},
        {"face_12.stl", "FacialModels", "face", "12", SIDE_NONE},
        {"ct_skull_07.stl", "SkullFix", "skull", "07", SIDE_NONE},
        {"005001_skull.stl", "autoPET", "skull", "005001", SIDE_NONE},
        {"002459_vertebraeC1.stl", "autoPET", "vertebra_c1", "002459", SIDE_NONE},
        {"010445_costa1left.stl", "autoPET", "rib_1", "010445", SIDE_LEFT},
        {"CoronaryArtery_39.stl", "ASOCA", "coronary_artery", "39", SIDE_NONE},
        {"3_CoronaryArtery.stl", "ASOCA", "coronary_artery", "3", SIDE_NONE},
        {"10_FaceVR.stl", "FacialModels", "face", "10", SIDE_NONE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect(*state, &cases[i], SIZE_MAX);
}

static void test_names_beside_the_formats(void **state)
{
    static const char *const names[] = {
        "",
        "x.stl",
        "s000_liver.nii.g_1.stl",
        "s00000_liver.nii.g_1.stl",
        "s0000_liver.nii.g_2.stl",
        "s0000_liver.nii.g_1.stl\n",
        "100206_heart.stl",
        "face_123.stl",
        "face_1.STL",
        "1_instrument3DCOSI_Scissors.stl",
        "ct_skull_1.stl",
        "vessel_tree_100.stl",
        "00000_liver.stl",
        "xface_1.stl",
        "\xff\xfe.stl",
        "../../etc/passwd",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct expectation want = {names[i], "unsorted", "", "", SIDE_NONE};
        expect(*state, &want, SIZE_MAX);
    }
    struct shape_name got;
    registry_classify(*state, "face_1.stl\0x", 12, SIZE_MAX, &got);
    assert_int_equal(got.dataset, 35);
}

static void test_unknown_classes(void **state)
{
    static const struct expectation cases[] = {
        {"s0001_left_foot_bone.nii.g_1.stl", "TotalSegmentator", "foot_bone", "s0001", SIDE_LEFT},
        {"s0001_left.nii.g_1.stl", "TotalSegmentator", "", "s0001", SIDE_LEFT},
        {"000001_eyelidright.stl", "autoPET", "eyelid", "000001", SIDE_RIGHT},
        {"000001_cleft.stl", "autoPET", "cleft", "000001", SIDE_NONE},
        {"001_instrument3DCOSI_BoneSaws.stl", "3D-COSI", "instrument_bone_saws", "001", SIDE_NONE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect(*state, &cases[i], SIZE_MAX);
}

static void test_forced(void **state)
{
    const struct registry *r = *state;
    static const struct expectation cases[] = {
        {"CoronaryArtery_3.stl", "ASOCA", "coronary_artery", "3", SIDE_NONE},
        {"000001_kidneyleft.stl", "ASOCA", "kidney", "000001", SIDE_LEFT},
        {"no rule knows this", "ASOCA", "", "", SIDE_NONE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect(r, &cases[i], registry_find(r, "ASOCA"));
    struct expectation lost = {"face_1.stl", "unsorted", "face", "1", SIDE_NONE};
    expect(r, &lost, registry_find(r, "unsorted"));
}

static void test_long_names(void **state)
{
    static char name[1 << 20];
    memset(name, '7', sizeof(name));
    struct shape_name got;
    registry_classify(*state, name, sizeof(name), SIZE_MAX, &got);
    assert_int_equal(got.dataset, 35);
    memcpy(name, "s0001_", 6);
    memcpy(name + 900, ".nii.g_1.stl", 12);
    registry_classify(*state, name, 912, SIZE_MAX, &got);
    assert_string_equal(registry_at(*state, got.dataset)->id, "TotalSegmentator");
    assert_int_equal(strlen(got.anatomy), 255);
}

static void *classify_often(void *arg)
{
    size_t wrong = 0;
    for (int i = 0; i < 3000; i++) {
        struct shape_name got;
        registry_classify(arg, "000001_kidneyleft.stl", 21, SIZE_MAX, &got);
        wrong += strcmp(got.anatomy, "kidney") != 0 || got.side != SIDE_LEFT;
        registry_classify(arg, "000001_eyelidright.stl", 22, SIZE_MAX, &got);
        wrong += strcmp(got.anatomy, "eyelid") != 0 || got.side != SIDE_RIGHT;
    }
    return (void *)(uintptr_t)wrong;
}

static void test_threads(void **state)
{
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, classify_often, *state), 0);
    for (size_t i = 0; i < 4; i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
}

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void test_real_list(void **state)
{
    static const struct {
        const char *id;
        size_t files;
    } want[] = {
        {"TotalSegmentator", 68949},
        {"VerSe", 2742},
        {"KiTS21", 300},
        {"BraTS", 922},
        {"HCP", 2226},
        {"3D-COSI", 103},
        {"AVT", 56},
        {"FacialModels", 12},
        {"SkullFix", 100},
        {"autoPET", 30691},
    };
    struct buf list = BUF_INIT;
    size_t count[36] = {0}, without_class = 0, without_subject = 0, total = 0;
    if (!real_data("MedShapeNetDataset.txt", &list))
        skip();
    double begin = cpu_now();
    for (char *line = list.data, *end = list.data + list.len, *next; line < end; line = next + 1) {
        next = memchr(line, '\n', (size_t)(end - line));
        const char *name = (const char *)memrchr(line, '=', (size_t)(next - line)) + 1;
        struct shape_name got;
        registry_classify(*state, name, (size_t)(next - name), SIZE_MAX, &got);
        count[got.dataset]++;
        without_class += got.anatomy[0] == '\0' || got.anatomy == got.scratch;
        without_subject += got.subject_len == 0;
    }
    double took = cpu_now() - begin;
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        assert_int_equal(count[registry_find(*state, want[i].id)], want[i].files);
        total += want[i].files;
    }
    assert_int_equal(total, 106101);
    assert_int_equal(count[35] + without_class + without_subject, 0);
    print_message("106,101 names in %.3f s of CPU\n", took);
    assert_true(took < 2.0);
    buf_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_datasets),
        cmocka_unit_test(test_licences),
        cmocka_unit_test(test_nothing_invented),
        cmocka_unit_test(test_name_formats),
        cmocka_unit_test(test_names_beside_the_formats),
        cmocka_unit_test(test_unknown_classes),
        cmocka_unit_test(test_forced),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_real_list),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
