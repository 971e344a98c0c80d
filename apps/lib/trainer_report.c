#include "apps/lib/trainer.h"

mg_status mg_trainer_report(mg_trainer *t, mg_error *err) {
    (void)err;
    return mg_trainer_load_best(t, err);
}
