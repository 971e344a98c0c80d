/* A made-up run with everything a report can show, for the report's tests and for looking at. */
#ifndef MG_TESTS_LIB_REPORT_SAMPLE_H
#define MG_TESTS_LIB_REPORT_SAMPLE_H

#include "data/report.h"

/* Fills both reports; static storage, made once. */
void report_sample(mg_report_train *train, mg_report_predict *predict);

#endif
