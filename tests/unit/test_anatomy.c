#include "catalog/registry_i.h"

#include "lib/real_data.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Every structure that both TotalSegmentator and autoPET have, under the spelling of each. */
static const struct {
    const char *totalsegmentator, *autopet, *anatomy;
    enum side side;
} shared[] = {
    {"adrenal_gland_left", "adrenalglandleft", "adrenal_gland", SIDE_LEFT},
    {"adrenal_gland_right", "adrenalglandright", "adrenal_gland", SIDE_RIGHT},
    {"aorta", "aorta", "aorta", SIDE_NONE},
    {"autochthon_left", "autochthonleft", "autochthon", SIDE_LEFT},
    {"autochthon_right", "autochthonright", "autochthon", SIDE_RIGHT},
    {"brain", "brain", "brain", SIDE_NONE},
    {"clavicula_left", "clavicleleft", "clavicle", SIDE_LEFT},
    {"clavicula_right", "clavicleright", "clavicle", SIDE_RIGHT},
    {"colon", "colon", "colon", SIDE_NONE},
    {"duodenum", "duodenum", "duodenum", SIDE_NONE},
    {"esophagus", "esophagus", "esophagus", SIDE_NONE},
    {"femur_left", "femurleft", "femur", SIDE_LEFT},
    {"femur_right", "femurright", "femur", SIDE_RIGHT},
    {"gallbladder", "gallbladder", "gallbladder", SIDE_NONE},
    {"gluteus_maximus_left", "gluteusmaximusleft", "gluteus_maximus", SIDE_LEFT},
    {"gluteus_maximus_right", "gluteusmaximusright", "gluteus_maximus", SIDE_RIGHT},
    {"gluteus_medius_left", "gluteusmediusleft", "gluteus_medius", SIDE_LEFT},
    {"gluteus_medius_right", "gluteusmediusright", "gluteus_medius", SIDE_RIGHT},
    {"gluteus_minimus_left", "gluteusminimusleft", "gluteus_minimus", SIDE_LEFT},
    {"gluteus_minimus_right", "gluteusminimusright", "gluteus_minimus", SIDE_RIGHT},
    {"heart_atrium_left", "heartatriumleft", "heart_atrium", SIDE_LEFT},
    {"heart_atrium_right", "heartatriumright", "heart_atrium", SIDE_RIGHT},
    {"heart_myocardium", "heartmyocardium", "heart_myocardium", SIDE_NONE},
    {"heart_ventricle_left", "heartventricleleft", "heart_ventricle", SIDE_LEFT},
    {"heart_ventricle_right", "heartventricleright", "heart_ventricle", SIDE_RIGHT},
    {"hip_left", "hipleft", "hip", SIDE_LEFT},
    {"hip_right", "hipright", "hip", SIDE_RIGHT},
    {"humerus_left", "humerusleft", "humerus", SIDE_LEFT},
    {"humerus_right", "humerusright", "humerus", SIDE_RIGHT},
    {"iliac_artery_left", "iliacarteryleft", "iliac_artery", SIDE_LEFT},
    {"iliac_artery_right", "iliacarteryright", "iliac_artery", SIDE_RIGHT},
    {"iliac_vena_left", "iliacvenaleft", "iliac_vein", SIDE_LEFT},
    {"iliac_vena_right", "iliacvenaright", "iliac_vein", SIDE_RIGHT},
    {"iliopsoas_left", "iliopsoasleft", "iliopsoas", SIDE_LEFT},
    {"iliopsoas_right", "iliopsoasright", "iliopsoas", SIDE_RIGHT},
    {"inferior_vena_cava", "inferiorvenacava", "inferior_vena_cava", SIDE_NONE},
    {"kidney_left", "kidneyleft", "kidney", SIDE_LEFT},
    {"kidney_right", "kidneyright", "kidney", SIDE_RIGHT},
    {"liver", "liver", "liver", SIDE_NONE},
    {"lung_lower_lobe_left", "lunglowerlobeleft", "lung_lower_lobe", SIDE_LEFT},
    {"lung_lower_lobe_right", "lunglowerloberight", "lung_lower_lobe", SIDE_RIGHT},
    {"lung_middle_lobe_right", "lungmiddleloberight", "lung_middle_lobe", SIDE_RIGHT},
    {"lung_upper_lobe_left", "lungupperlobeleft", "lung_upper_lobe", SIDE_LEFT},
    {"lung_upper_lobe_right", "lungupperloberight", "lung_upper_lobe", SIDE_RIGHT},
    {"pancreas", "pancreas", "pancreas", SIDE_NONE},
    {"portal_vein_and_splenic_vein", "portalveinandsplenicvein", "portal_vein_and_splenic_vein",
     SIDE_NONE},
    {"pulmonary_artery", "pulmonaryartery", "pulmonary_artery", SIDE_NONE},
    {"rib_left_1", "costa1left", "rib_1", SIDE_LEFT},
    {"rib_left_10", "costa10left", "rib_10", SIDE_LEFT},
    {"rib_left_11", "costa11left", "rib_11", SIDE_LEFT},
    {"rib_left_12", "costa12left", "rib_12", SIDE_LEFT},
    {"rib_left_2", "costa2left", "rib_2", SIDE_LEFT},
    {"rib_left_3", "costa3left", "rib_3", SIDE_LEFT},
    {"rib_left_4", "costa4left", "rib_4", SIDE_LEFT},
    {"rib_left_5", "costa5left", "rib_5", SIDE_LEFT},
    {"rib_left_6", "costa6left", "rib_6", SIDE_LEFT},
    {"rib_left_7", "costa7left", "rib_7", SIDE_LEFT},
    {"rib_left_8", "costa8left", "rib_8", SIDE_LEFT},
    {"rib_left_9", "costa9left", "rib_9", SIDE_LEFT},
    {"rib_right_1", "costa1right", "rib_1", SIDE_RIGHT},
    {"rib_right_10", "costa10right", "rib_10", SIDE_RIGHT},
    {"rib_right_11", "costa11right", "rib_11", SIDE_RIGHT},
    {"rib_right_12", "costa12right", "rib_12", SIDE_RIGHT},
    {"rib_right_2", "costa2right", "rib_2", SIDE_RIGHT},
    {"rib_right_3", "costa3right", "rib_3", SIDE_RIGHT},
    {"rib_right_4", "costa4right", "rib_4", SIDE_RIGHT},
    {"rib_right_5", "costa5right", "rib_5", SIDE_RIGHT},
    {"rib_right_6", "costa6right", "rib_6", SIDE_RIGHT},
    {"rib_right_7", "costa7right", "rib_7", SIDE_RIGHT},
    {"rib_right_8", "costa8right", "rib_8", SIDE_RIGHT},
    {"rib_right_9", "costa9right", "rib_9", SIDE_RIGHT},
    {"sacrum", "sacrum", "sacrum", SIDE_NONE},
    {"scapula_left", "scapulaleft", "scapula", SIDE_LEFT},
    {"scapula_right", "scapularight", "scapula", SIDE_RIGHT},
    {"small_bowel", "smallbowel", "small_bowel", SIDE_NONE},
    {"spleen", "spleen", "spleen", SIDE_NONE},
    {"stomach", "stomach", "stomach", SIDE_NONE},
    {"trachea", "trachea", "trachea", SIDE_NONE},
    {"urinary_bladder", "bladder", "urinary_bladder", SIDE_NONE},
    {"vertebrae_C1", "vertebraeC1", "vertebra_c1", SIDE_NONE},
    {"vertebrae_C2", "vertebraeC2", "vertebra_c2", SIDE_NONE},
    {"vertebrae_C3", "vertebraeC3", "vertebra_c3", SIDE_NONE},
    {"vertebrae_C4", "vertebraeC4", "vertebra_c4", SIDE_NONE},
    {"vertebrae_C5", "vertebraeC5", "vertebra_c5", SIDE_NONE},
    {"vertebrae_C6", "vertebraeC6", "vertebra_c6", SIDE_NONE},
    {"vertebrae_C7", "vertebraeC7", "vertebra_c7", SIDE_NONE},
    {"vertebrae_L1", "vertebraeL1", "vertebra_l1", SIDE_NONE},
    {"vertebrae_L2", "vertebraeL2", "vertebra_l2", SIDE_NONE},
    {"vertebrae_L3", "vertebraeL3", "vertebra_l3", SIDE_NONE},
    {"vertebrae_L4", "vertebraeL4", "vertebra_l4", SIDE_NONE},
    {"vertebrae_L5", "vertebraeL5", "vertebra_l5", SIDE_NONE},
    {"vertebrae_T1", "vertebraeT1", "vertebra_t1", SIDE_NONE},
    {"vertebrae_T10", "vertebraeT10", "vertebra_t10", SIDE_NONE},
    {"vertebrae_T11", "vertebraeT11", "vertebra_t11", SIDE_NONE},
    {"vertebrae_T12", "vertebraeT12", "vertebra_t12", SIDE_NONE},
    {"vertebrae_T2", "vertebraeT2", "vertebra_t2", SIDE_NONE},
    {"vertebrae_T3", "vertebraeT3", "vertebra_t3", SIDE_NONE},
    {"vertebrae_T4", "vertebraeT4", "vertebra_t4", SIDE_NONE},
    {"vertebrae_T5", "vertebraeT5", "vertebra_t5", SIDE_NONE},
    {"vertebrae_T6", "vertebraeT6", "vertebra_t6", SIDE_NONE},
    {"vertebrae_T7", "vertebraeT7", "vertebra_t7", SIDE_NONE},
    {"vertebrae_T8", "vertebraeT8", "vertebra_t8", SIDE_NONE},
    {"vertebrae_T9", "vertebraeT9", "vertebra_t9", SIDE_NONE},
};

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

static void assert_anatomy(const struct registry *r, const char *spelling, bool known,
                           const char *anatomy, enum side side)
{
    char scratch[ANATOMY_MAX];
    const char *got;
    enum side got_side;
    assert_int_equal(registry_anatomy(r, spelling, strlen(spelling), &got, &got_side, scratch),
                     known);
    assert_string_equal(got, anatomy);
    assert_int_equal(got_side, side);
}

static void test_shared_organs(void **state)
{
    assert_int_equal(sizeof(shared) / sizeof(shared[0]), 103);
    for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++) {
        assert_anatomy(*state, shared[i].totalsegmentator, true, shared[i].anatomy, shared[i].side);
        assert_anatomy(*state, shared[i].autopet, true, shared[i].anatomy, shared[i].side);
    }
}

static void test_other_classes(void **state)
{
    static const struct {
        const char *spelling, *anatomy;
        enum side side;
    } cases[] = {
        {"vertebrae", "vertebra", SIDE_NONE},
        {"tumoredKidney", "kidney_tumor", SIDE_NONE},
        {"tumoredbrain", "brain_tumor", SIDE_NONE},
        {"vessel_tree", "aortic_vessel_tree", SIDE_NONE},
        {"ct_skull", "skull", SIDE_NONE},
        {"skull", "skull", SIDE_NONE},
        {"face", "face", SIDE_NONE},
        {"bronchie", "bronchi", SIDE_NONE},
        {"celiactrunk", "celiac_trunk", SIDE_NONE},
        {"eyeballleft", "eyeball", SIDE_LEFT},
        {"thyroidright", "thyroid", SIDE_RIGHT},
        {"LangenbeckRetractors", "instrument_langenbeck_retractors", SIDE_NONE},
        {"Scissors", "instrument_scissors", SIDE_NONE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_anatomy(*state, cases[i].spelling, true, cases[i].anatomy, cases[i].side);
}

static void test_loose_lookup(void **state)
{
    assert_anatomy(*state, "Lung Lower Lobe-LEFT", true, "lung_lower_lobe", SIDE_LEFT);
    assert_anatomy(*state, "VERTEBRAE_c1", true, "vertebra_c1", SIDE_NONE);
}

static void test_guess(void **state)
{
    static const struct {
        const char *spelling, *anatomy;
        enum side side;
    } cases[] = {
        {"right_tibia", "tibia", SIDE_RIGHT},
        {"tibia-LEFT", "tibia", SIDE_LEFT},
        {"tibialeft", "tibia", SIDE_LEFT},
        {"LeftTibia", "tibia", SIDE_LEFT},
        {"tibia_left_3", "tibia_3", SIDE_LEFT},
        {"tibia left right", "tibia", SIDE_NONE},
        {"left", "", SIDE_LEFT},
        {"left__left", "", SIDE_LEFT},
        {"", "", SIDE_NONE},
        {"../..", "", SIDE_NONE},
        {"../Foo/\xff\x01 bar", "foo_bar", SIDE_NONE},
        {"cleft_palate", "cleft_palate", SIDE_NONE},
        {"bright", "bright", SIDE_NONE},
        {"tumoredLiver2", "tumored_liver2", SIDE_NONE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_anatomy(*state, cases[i].spelling, false, cases[i].anatomy, cases[i].side);
}

static void test_guess_is_bounded(void **state)
{
    static char spelling[2000];
    char scratch[ANATOMY_MAX];
    const char *got;
    enum side side;
    for (size_t step = 1; step < 300; step++) {
        for (size_t i = 0; i < sizeof(spelling); i++)
            spelling[i] = i % step == step - 1 ? '-' : "Left"[i % 4];
        scratch[ANATOMY_MAX - 1] = 'x';
        assert_false(registry_anatomy(*state, spelling, sizeof(spelling), &got, &side, scratch));
        assert_ptr_equal(got, scratch);
        assert_true(strnlen(got, ANATOMY_MAX) < ANATOMY_MAX);
        assert_int_equal(strspn(got, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(got));
    }
}

/* Lines of a table that are not comments; each given to `row` as spelling, class, side. */
static size_t each_line(char *text, void (*row)(const struct registry *r, char *line),
                        const struct registry *r)
{
    size_t count = 0;
    for (char *rest = text; rest != NULL;) {
        char *line = strsep(&rest, "\n");
        if (line[0] == '\0' || line[0] == '#')
            continue;
        row(r, line);
        count++;
    }
    return count;
}

static void check_row(const struct registry *r, char *line)
{
    (void)r;
    char *rest = line;
    (void)strsep(&rest, "\t");
    const char *anatomy = strsep(&rest, "\t");
    assert_null(strstr(anatomy, "left"));
    assert_null(strstr(anatomy, "right"));
    assert_null(strstr(anatomy, "__"));
}

static void test_table(void **state)
{
    (void)state;
    char *text = strndup((const char *)registry_anatomy_tsv, registry_anatomy_tsv_len);
    assert_int_equal(each_line(text, check_row, NULL), 249);
    free(text);
}

static void check_known(const struct registry *r, char *line)
{
    char *rest = line;
    const char *dataset = strsep(&rest, "\t"), *spelling = strsep(&rest, "\t"), *anatomy;
    char scratch[ANATOMY_MAX];
    enum side side;
    if (strcmp(dataset, "dataset") == 0)
        return;
    assert_true(registry_anatomy(r, spelling, strlen(spelling), &anatomy, &side, scratch));
    assert_int_equal(strncmp(anatomy, "instrument_", 11) == 0, strcmp(dataset, "3D-COSI") == 0);
    bool sided = strstr(spelling, "left") != NULL || strstr(spelling, "right") != NULL;
    assert_int_equal(sided, side != SIDE_NONE);
}

static void test_real_spellings(void **state)
{
    struct buf list = BUF_INIT;
    if (!real_data("manifest_classes.tsv", &list))
        skip();
    char *text = buf_take(&list);
    assert_int_equal(each_line(text, check_known, *state), 264);
    free(text);
}

static void test_bad_tables(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "a",         "a\tb",        "a\tb\tc",   "a\tb\tleft\t", "a\tB\t-",
        "a\t\t-",    "\tb\t-",      "-\tb\t-",   "a\tb/c\t-",    "a\tb\t-\nA\tb\tleft",
        "a\tb\t-\r", "x\ty\t-\nab", "a\tb c\t-",
    };
    struct anatomy *a = NULL;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(anatomy_load(bad[i], strlen(bad[i]), &a), -EBADMSG);
    assert_null(a);
    static const char good[] = "# c\n\na_b\tc\tleft\nAB\tc\tleft";
    assert_int_equal(anatomy_load(good, sizeof(good) - 1, &a), 0);
    const char *name = "";
    enum side side = SIDE_NONE;
    assert_true(anatomy_find(a, "ab", 2, &name, &side));
    assert_string_equal(name, "c");
    assert_int_equal(side, SIDE_LEFT);
    assert_false(anatomy_find(a, "abc", 3, &name, &side));
    assert_false(anatomy_find(a, "a", 1, &name, &side));
    assert_false(anatomy_find(a, "", 0, &name, &side));
    anatomy_free(a);
    anatomy_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared_organs),    cmocka_unit_test(test_other_classes),
        cmocka_unit_test(test_loose_lookup),     cmocka_unit_test(test_guess),
        cmocka_unit_test(test_guess_is_bounded), cmocka_unit_test(test_table),
        cmocka_unit_test(test_real_spellings),   cmocka_unit_test(test_bad_tables),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
