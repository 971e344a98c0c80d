/* train: from a folder of mammograms to a model with its report (apps/lib/trainer.h). */
#include <stdio.h>

#include "apps/lib/interrupt.h"
#include "apps/lib/preprocess_choice.h"
#include "apps/lib/trainer.h"

int main(int argc, char **argv) {
    int code = mg_train_options_parse(&argc, &argv);
    if (code != MG_CLI_RUN) return code;
    static mg_trainer trainer;
    mg_error err = {0};
    mg_interrupt_install();
    mg_status s = mg_trainer_create(&trainer, &err);
    if (!s) mg_cli_echo(mg_train_program(), trainer.log);
    if (!s && mg_train.find_lr) {
        s = mg_trainer_find_lr(&trainer, &err);
    } else if (!s) {
        s = mg_trainer_run(&trainer, &err);
        if (!s && !mg_train.no_report) s = mg_trainer_report(&trainer, &err);
    }
    char prepared[700];
    if (*mg_preprocess_told(trainer.preprocess, prepared, sizeof prepared))
        mg_trainer_say(&trainer, "%s", prepared);
    if (s) mg_trainer_say(&trainer, "train: %s", err.message);
    mg_trainer_destroy(&trainer);
    /* Ctrl-C with everything saved is a clean end. */
    return s == MG_OK || s == MG_ERR_INTERRUPTED ? MG_EXIT_DONE : MG_EXIT_FAILED;
}
