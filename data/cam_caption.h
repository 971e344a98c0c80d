/* cam_caption.h: the strip below an overlay; inside of cam_overlay.h. */
#ifndef MG_DATA_CAM_CAPTION_H
#define MG_DATA_CAM_CAPTION_H

#include "data/cam_overlay.h"

/* The part of the colour scale in use: its dark end would not show on a dark breast. */
enum { MG_CAM_FIRST_COLOR = 70 };

int mg_cam_caption_height(int width);
/* Paints rows top … height-1 of the picture. */
mg_status mg_cam_caption(mg_png *picture, int top, double threshold, double highest,
                         const mg_cam_overlay_options *options, mg_error *err);

#endif
