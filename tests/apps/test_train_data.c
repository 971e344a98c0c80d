/* What apps/train makes of its data: data that changed under a run, validation without cancer,
 * images that are elsewhere, a cache that apps/preprocess filled. */
#include "tests/apps/train_runs.h"

/* The same row of train.csv with the other label. */
#define FLIP                                                                                       \
    "awk -F, -v OFS=, 'NR==1{for(i=1;i<=NF;i++)if($i==\"cancer\")c=i} "                            \
    "NR==2{$c=1-$c} {print}' %s/phantom/train.csv >%s/t && mv %s/t %s/phantom/train.csv"

Test(train_data, resume_notices_changed_data, .timeout = 120) {
    char *folder = phantom(scratch_folder());
    cr_assert_eq(train(folder, "r", "--epochs 1 --no-report"), 0);
    cr_assert_eq(shell(FLIP, folder, folder, folder, folder), 0);
    cr_expect_eq(train(folder, "r", "--resume --epochs 2 --no-report"), 1);
    cr_expect(says(folder, "r", "ids, labels, files or split.csv were changed; put them back"));
    cr_assert_eq(shell(FLIP, folder, folder, folder, folder), 0);
    cr_expect_eq(train(folder, "r", "--resume --epochs 2 --no-report"), 0);
    /* A file that was cut. */
    cr_assert_eq(shell("f=$(ls %s/phantom/train_images/*/*.dcm | head -1); mv $f %s/whole && "
                       "head -c 9000 %s/whole >$f",
                       folder, folder, folder),
                 0);
    cr_expect_eq(train(folder, "r", "--resume --epochs 3 --no-report"), 1);
    /* And a patient who changed sides. */
    cr_assert_eq(shell("mv %s/whole $(ls %s/phantom/train_images/*/*.dcm | head -1) && "
                       "sed -i '0,/,val/s//,train/' %s/r/split.csv",
                       folder, folder, folder),
                 0);
    cr_expect_eq(train(folder, "r", "--resume --epochs 3 --no-report"), 1);
    shell("rm -rf %s", folder);
}

/* The file that --split named may change afterwards: the run keeps the split it began with. */
Test(train_data, resume_keeps_the_split, .timeout = 120) {
    char *folder = phantom(scratch_folder());
    char split[600];
    snprintf(split, sizeof split, "--no-report --split %s/split.csv", folder);
    cr_assert_eq(train(folder, "first", "--epochs 1 --no-report"), 0);
    cr_assert_eq(shell("cp %s/first/split.csv %s/split.csv", folder, folder), 0);
    char options[700];
    snprintf(options, sizeof options, "%s --epochs 1", split);
    cr_assert_eq(train(folder, "r", options), 0);
    cr_assert_eq(shell("sed -i 's/,train/,x/; s/,val/,train/; s/,x/,val/' %s/split.csv", folder),
                 0);
    snprintf(options, sizeof options, "%s --resume --epochs 2", split);
    cr_expect_eq(train(folder, "r", options), 0);
    cr_expect_eq(shell("cmp %s/first/split.csv %s/r/split.csv", folder, folder), 0);
    cr_assert_eq(train(folder, "first", "--resume --epochs 2 --no-report"), 0);
    cr_expect_eq(shell("cmp %s/first/metrics.csv %s/r/metrics.csv", folder, folder), 0);
    shell("rm -rf %s", folder);
}

Test(train_data, validation_without_cancer, .timeout = 120) {
    char *folder = phantom(scratch_folder());
    cr_assert_eq(train(folder, "first", "--epochs 1 --no-report"), 0);
    /* All patients with cancer train; of the others every second one validates. */
    cr_assert_eq(shell("awk -F, -v OFS=, 'NR>1{$3=($2==0 && n++%%2==0)?\"val\":\"train\"} {print}' "
                       "%s/first/split.csv >%s/split.csv && grep -q ,0,val %s/split.csv",
                       folder, folder, folder),
                 0);
    char options[700];
    snprintf(options, sizeof options, "--epochs 2 --split %s/split.csv", folder);
    int code = train(folder, "r", options);
    cat_if(code, folder, "r");
    cr_assert_eq(code, 0);
    cr_expect(says(folder, "r", "warning: all validation breasts are negative"));
    cr_expect(says(folder, "r", ", validation loss 0."));
    cr_expect_eq(shell("awk -F, 'NR>1 && $3==\"\"{exit 1}' %s/r/metrics.csv", folder), 0);
    cr_expect_eq(shell("grep -q 'lowest validation loss, [0-9]' %s/r/report.html", folder), 0);
    cr_expect_eq(shell("grep -qa 'validation_loss[^,]*[0-9]' %s/r/best.safetensors", folder), 0);
    shell("rm -rf %s", folder);
}

/* The training loss is not called a validation loss, not when the run is resumed either. */
Test(train_data, no_validation_at_all, .timeout = 120) {
    char *folder = phantom(scratch_folder());
    cr_assert_eq(train(folder, "r", "--epochs 1 --validation 0"), 0);
    cr_expect(says(folder, "r", "no validation patients: the training loss is watched"));
    cr_expect(says(folder, "r", "no validation loss, lr"));
    cr_expect(says(folder, "r", "best weights: epoch 1, training loss 0."));
    cr_assert_eq(train(folder, "r", "--epochs 2 --validation 0 --resume --lr 0.003"), 0);
    static const char *const files[] = {"best", "last"};
    for (int i = 0; i < 2; i++)
        cr_expect_eq(
            shell("grep -qa 'validation_loss[^,]*null' %s/r/%s.safetensors", folder, files[i]), 0,
            "%s", files[i]);
    shell("rm -rf %s", folder);
}

Test(train_data, images_elsewhere, .timeout = 120) {
    char *folder = phantom(scratch_folder());
    cr_assert_eq(shell("mv %s/phantom/train_images %s/pictures", folder, folder), 0);
    cr_assert_eq(train(folder, "r", "--epochs 1 --no-report"), 1);
    cr_expect(says(folder, "r", "say with --images DIR where they are"));
    cr_expect(says(folder, "r", "phantom/train_images/"));
    cr_expect_neq(shell("grep -q skipped %s/r.out", folder), 0);
    cr_expect_neq(shell("test -e %s/r", folder), 0);
    char options[700];
    snprintf(options, sizeof options, "--epochs 1 --no-report --images %s/pictures", folder);
    cr_assert_eq(train(folder, "r", options), 0);
    cr_expect_eq(train(folder, "r", "--epochs 2 --no-report --resume"), 0);
    shell("rm -rf %s", folder);
}

/* What apps/preprocess put into the cache with these options is what train looks for. */
Test(train_data, cache_of_preprocess, .timeout = 120) {
    char *folder = phantom(scratch_folder());
    cr_assert_eq(shell("%s/preprocess --data %s/phantom --cache %s/cache --height 64 --width 48 "
                       "--margin 0.05 --full-content 2>%s/e",
                       apps_folder(), folder, folder, folder),
                 0);
    cr_assert_eq(shell("find %s/cache -type f | sort >%s/filled", folder, folder), 0);
    char options[700];
    snprintf(options, sizeof options,
             "--epochs 1 --no-report --epoch-draws all --cache %s/cache --margin 0.05 "
             "--full-content",
             folder);
    int code = train(folder, "r", options);
    cat_if(code, folder, "r");
    cr_assert_eq(code, 0);
    cr_expect_eq(shell("find %s/cache -type f | sort | cmp - %s/filled", folder, folder), 0,
                 "train prepared images that were in the cache");
    cr_expect_eq(shell("grep -qa 'margin=0.05' %s/r/best.safetensors", folder), 0);
    cr_expect_eq(train(folder, "r", "--resume --margin 0.02"), 2);
    cr_expect(says(folder, "r", "--margin differs"));
    shell("rm -rf %s", folder);
}
