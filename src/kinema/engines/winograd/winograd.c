/* Transforms of the Winograd convolutions F(4x4, 3x3) over space and F(4, 3) over time, channels last, in float32.
 *
 * Lavin & Gray 2016, "Fast Algorithms for Convolutional Neural Networks": 4 x 4 outputs of a 3 x 3 filter are
 *
 *     Y = A^T [ (G g G^T) * (B^T d B) ] A
 *
 * where d are the 6 x 6 inputs of the filter, g is the filter, and * multiplies number by number: 36 products instead of
 * 144. Summed over channels, each of the 36 points is a matrix product, which a matrix library computes between the two
 * functions here. The filters G g G^T are transformed once, elsewhere.
 *
 *     winograd_data      frames [clips frames height width channels] -> B^T d B, of [36 frames count channels]
 *     winograd_inverse   sums of products [36 frames count channels] -> A^T m A + bias, written to the frames
 *
 * The 36 numbers of a tile may be adjacent or far apart. Both functions compute a block: `count` tiles of 4 x 4 outputs, the
 * same tiles in each frame. Tiles are numbered row by row in a frame, and on through the frames at the same time in further
 * clips. At the edges of a frame, outputs may fill only a part of their tile; inputs outside of a frame are zero.
 *
 * Over time it is the same along one axis: a tile is a pixel in 4 frames, Y = A^T [ (G g) * (B^T d) ], 6 products instead of
 * 12. Tiles are numbered through the pixels of a frame, then through the frames, 4 at a time, then through the clips.
 *
 *     winograd_time_data      clips [clips frames height width channels] -> B^T d, as [6 count channels]
 *     winograd_time_inverse   sums of products [6 count channels]        -> A^T m + bias, written to the clips
 *
 * LANES channels are computed at a time. If their number is not a multiple of LANES, the last vector overlaps the one before
 * it and some channels are computed twice, which is harmless, because inputs and outputs are separate memory. There must be
 * at least LANES channels; this is not checked here.
 */
#include <stdint.h>

#if defined(_WIN32)
#define EXPORTED __declspec(dllexport)
#else
#define EXPORTED __attribute__((visibility("default")))
#endif

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif

typedef float Vector __attribute__((vector_size(4 * LANES)));
typedef int32_t Mask __attribute__((vector_size(4 * LANES)));
typedef float Anywhere __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

typedef struct {
    int64_t frames, height, width; /* of each clip */
    int64_t channels, pitch;       /* number to compute; floats from one pixel to the next */
    int64_t first, count;          /* the tiles of this block */
    int64_t step, row;             /* floats from one of the 36 or 6 matrices to the next; from one tile to the next */
} Block;

typedef struct {
    int64_t clip, row, column; /* position of the first output of a tile */
} Place;

typedef struct {
    int64_t clip, frame, pixel; /* position of the first output of a tile over time */
} TimePlace;

static inline Vector load(const float *from) { return *(const Anywhere *)from; }
static inline void store(float *to, Vector value) { *(Anywhere *)to = value; }

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static inline Place place_of(const Block *block, int64_t tile) {
    int64_t across = (block->width + 3) / 4, down = (block->height + 3) / 4;
    int64_t clip = tile / (across * down), rest = tile % (across * down);
    return (Place){clip, rest / across * 4, rest % across * 4};
}

static inline TimePlace time_place_of(const Block *block, int64_t tile) {
    int64_t pixels = block->height * block->width, groups = (block->frames + 3) / 4;
    int64_t clip = tile / (groups * pixels), rest = tile % (groups * pixels);
    return (TimePlace){clip, rest / pixels * 4, rest % pixels};
}

/* B^T d: along one axis of a tile's inputs. */
static inline void transform_data(const Vector d[6], Vector out[6]) {
    Vector even = d[4] - 4 * d[2], odd = d[3] - 4 * d[1];
    Vector even_far = d[4] - d[2], odd_far = 2 * (d[3] - d[1]);
    out[0] = 4 * d[0] - 5 * d[2] + d[4];
    out[1] = even + odd;
    out[2] = even - odd;
    out[3] = even_far + odd_far;
    out[4] = even_far - odd_far;
    out[5] = 4 * d[1] - 5 * d[3] + d[5];
}

/* A^T m: along one axis of a tile's products. */
static inline void transform_inverse(const Vector m[6], Vector out[4]) {
    Vector even = m[1] + m[2], odd = m[1] - m[2];
    Vector even_far = m[3] + m[4], odd_far = m[3] - m[4];
    out[0] = m[0] + even + even_far;
    out[1] = odd + 2 * odd_far;
    out[2] = even + 4 * even_far;
    out[3] = odd + 8 * odd_far + m[5];
}

/* ReLU; NaN stays NaN. */
static inline Vector rectified(Vector value) { return (Vector)((Mask)value & ~(Mask)(value < (Vector){0})); }

/* The 36 input pixels of a tile; `outside` instead of pixels outside of the frame. */
static inline void find_pixels(const Block *block, Place place, const float *frame, const float *outside,
                               const float *pixels[6][6]) {
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 6; j++) {
            int64_t row = place.row + i - 1, column = place.column + j - 1;
            int inside = row >= 0 && row < block->height && column >= 0 && column < block->width;
            pixels[i][j] = inside ? frame + (row * block->width + column) * block->pitch : outside;
        }
}

/* Args:
 *     frames: [clips frames height width channels].
 *     outside: a zero for each channel.
 *     patches: [36 frames count channels], `step` apart; written.
 */
EXPORTED void winograd_data(const Block *block, const float *frames, const float *outside, float *patches) {
    int64_t channels = block->channels, size = block->height * block->width * block->pitch;
    for (int64_t t = 0; t < block->frames; t++)
        for (int64_t k = 0; k < block->count; k++) {
            Place place = place_of(block, block->first + k);
            const float *pixels[6][6];
            find_pixels(block, place, frames + (place.clip * block->frames + t) * size, outside, pixels);
            float *patch = patches + (t * block->count + k) * block->row;
            for (int64_t next = 0; next < channels; next += LANES) {
                int64_t channel = least(next, channels - LANES);
                Vector half[6][6], out[6]; /* half: [column row] */
                for (int j = 0; j < 6; j++) {
                    Vector d[6];
                    for (int i = 0; i < 6; i++) d[i] = load(pixels[i][j] + channel);
                    transform_data(d, half[j]);
                }
                for (int i = 0; i < 6; i++) {
                    Vector d[6];
                    for (int j = 0; j < 6; j++) d[j] = half[j][i];
                    transform_data(d, out);
                    for (int j = 0; j < 6; j++) store(patch + (6 * i + j) * block->step + channel, out[j]);
                }
            }
        }
}

/* Args:
 *     products: [36 frames count channels], `step` apart.
 *     bias: [channels].
 *     rectify: whether a ReLU follows.
 *     frames: [clips frames height width channels]; the block's part is written.
 */
EXPORTED void winograd_inverse(const Block *block, const float *products, const float *bias, int rectify,
                               float *frames) {
    int64_t channels = block->channels, size = block->height * block->width * block->pitch;
    for (int64_t t = 0; t < block->frames; t++)
        for (int64_t k = 0; k < block->count; k++) {
            Place place = place_of(block, block->first + k);
            int64_t rows = least(4, block->height - place.row), columns = least(4, block->width - place.column);
            const float *product = products + (t * block->count + k) * block->row;
            float *corner = frames + (place.clip * block->frames + t) * size +
                            (place.row * block->width + place.column) * block->pitch;
            for (int64_t next = 0; next < channels; next += LANES) {
                int64_t channel = least(next, channels - LANES);
                Vector half[6][4], added = load(bias + channel); /* half: [column row] */
                for (int j = 0; j < 6; j++) {
                    Vector m[6];
                    for (int i = 0; i < 6; i++) m[i] = load(product + (6 * i + j) * block->step + channel);
                    transform_inverse(m, half[j]);
                }
                for (int i = 0; i < rows; i++) {
                    Vector m[6], out[4];
                    for (int j = 0; j < 6; j++) m[j] = half[j][i];
                    transform_inverse(m, out);
                    for (int j = 0; j < columns; j++) {
                        Vector value = out[j] + added;
                        float *pixel = corner + (i * block->width + j) * block->pitch;
                        store(pixel + channel, rectify ? rectified(value) : value);
                    }
                }
            }
        }
}

/* Args:
 *     clips: [clips frames height width channels].
 *     outside: a zero for each channel.
 *     patches: [6 count channels], `step` apart; written.
 */
EXPORTED void winograd_time_data(const Block *block, const float *clips, const float *outside, float *patches) {
    int64_t channels = block->channels, size = block->height * block->width * block->pitch;
    for (int64_t k = 0; k < block->count; k++) {
        TimePlace place = time_place_of(block, block->first + k);
        const float *first = clips + place.clip * block->frames * size + place.pixel * block->pitch, *pixels[6];
        for (int i = 0; i < 6; i++) {
            int64_t frame = place.frame + i - 1;
            pixels[i] = frame >= 0 && frame < block->frames ? first + frame * size : outside;
        }
        float *patch = patches + k * block->row;
        for (int64_t next = 0; next < channels; next += LANES) {
            int64_t channel = least(next, channels - LANES);
            Vector d[6], out[6];
            for (int i = 0; i < 6; i++) d[i] = load(pixels[i] + channel);
            transform_data(d, out);
            for (int i = 0; i < 6; i++) store(patch + i * block->step + channel, out[i]);
        }
    }
}

/* Args:
 *     products: [6 count channels], `step` apart.
 *     bias: [channels].
 *     rectify: whether a ReLU follows.
 *     clips: [clips frames height width channels]; the block's part is written.
 */
EXPORTED void winograd_time_inverse(const Block *block, const float *products, const float *bias, int rectify,
                                    float *clips) {
    int64_t channels = block->channels, size = block->height * block->width * block->pitch;
    for (int64_t k = 0; k < block->count; k++) {
        TimePlace place = time_place_of(block, block->first + k);
        int64_t frames = least(4, block->frames - place.frame);
        const float *product = products + k * block->row;
        float *first = clips + (place.clip * block->frames + place.frame) * size + place.pixel * block->pitch;
        for (int64_t next = 0; next < channels; next += LANES) {
            int64_t channel = least(next, channels - LANES);
            Vector m[6], out[4], added = load(bias + channel);
            for (int i = 0; i < 6; i++) m[i] = load(product + i * block->step + channel);
            transform_inverse(m, out);
            for (int i = 0; i < frames; i++) {
                Vector value = out[i] + added;
                store(first + i * size + channel, rectify ? rectified(value) : value);
            }
        }
    }
}
