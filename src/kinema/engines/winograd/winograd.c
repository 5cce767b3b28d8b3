/* The transforms of Winograd's convolutions F(4x4, 3x3) over space and F(4, 3) over time, for channels last and in float32.
 *
 * Lavin & Gray 2016, "Fast Algorithms for Convolutional Neural Networks": 4 x 4 outputs of a 3 x 3 filter are
 *
 *     Y = A^T [ (G g G^T) * (B^T d B) ] A
 *
 * where d are the 6 x 6 inputs that they see, g is the filter, and * multiplies number by number: 36 products in place of
 * 144. Summed over channels, each of the 36 places is a matrix product of its own, which a matrix library does between the
 * two functions here. The filters G g G^T are made once, elsewhere.
 *
 *     winograd_data      pictures [clips frames height width channels] -> B^T d B, of [36 frames count channels]
 *     winograd_inverse   sums of products [36 frames count channels]   -> A^T m A + bias, into the pictures
 *
 * The 36 numbers of a tile may lie side by side or far apart. Both work on a block of `count` tiles of 4 x 4 outputs, of each frame the same ones. Tiles are numbered row by row through
 * a frame, and on through the frames at the same time in further clips. Outputs at the edges of a picture may fill a part
 * of their tile only, and what lies outside of a picture is zero.
 *
 * Over time it is the same along one axis: a tile is a pixel in 4 frames, Y = A^T [ (G g) * (B^T d) ], 6 products in place of
 * 12. Tiles are numbered through the pixels of a frame, on through the frames, 4 at a time, and on through the clips.
 *
 *     winograd_time_data      clips [clips frames height width channels] -> B^T d, as [6 count channels]
 *     winograd_time_inverse   sums of products [6 count channels]        -> A^T m + bias, into the clips
 *
 * Channels are computed LANES at a time. Where their number is no multiple of LANES, the last ones overlap the ones before
 * them and some are computed twice, which is harmless, since nothing that is read is written to. There must be LANES of
 * them at least; nothing checks that here.
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
    int64_t channels, pitch;       /* how many to compute; floats from one pixel to the next */
    int64_t first, count;          /* the tiles of this block */
    int64_t step, row;             /* floats from one of the 36 or 6 matrices to the next; from one tile to the next */
} Block;

typedef struct {
    int64_t clip, row, column; /* where the outputs of a tile begin */
} Place;

typedef struct {
    int64_t clip, frame, pixel; /* where the outputs of a tile over time begin */
} Moment;

static inline Vector load(const float *from) { return *(const Anywhere *)from; }
static inline void store(float *to, Vector value) { *(Anywhere *)to = value; }

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static inline Place place_of(const Block *block, int64_t tile) {
    int64_t across = (block->width + 3) / 4, down = (block->height + 3) / 4;
    int64_t clip = tile / (across * down), rest = tile % (across * down);
    return (Place){clip, rest / across * 4, rest % across * 4};
}

static inline Moment moment_of(const Block *block, int64_t tile) {
    int64_t pixels = block->height * block->width, groups = (block->frames + 3) / 4;
    int64_t clip = tile / (groups * pixels), rest = tile % (groups * pixels);
    return (Moment){clip, rest / pixels * 4, rest % pixels};
}

/* B^T d: along one side of the inputs of a tile. */
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

/* A^T m: along one side of the products of a tile. */
static inline void transform_inverse(const Vector m[6], Vector out[4]) {
    Vector even = m[1] + m[2], odd = m[1] - m[2];
    Vector even_far = m[3] + m[4], odd_far = m[3] - m[4];
    out[0] = m[0] + even + even_far;
    out[1] = odd + 2 * odd_far;
    out[2] = even + 4 * even_far;
    out[3] = odd + 8 * odd_far + m[5];
}

/* Nothing below zero; what is no number stays none. */
static inline Vector rectified(Vector value) { return (Vector)((Mask)value & ~(Mask)(value < (Vector){0})); }

/* The 36 pixels that a tile sees; `outside` in place of those that are not in the picture. */
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
 *     pictures: [clips frames height width channels].
 *     outside: as many zeros as there are channels.
 *     patches: [36 frames count channels], `step` apart; written.
 */
EXPORTED void winograd_data(const Block *block, const float *pictures, const float *outside, float *patches) {
    int64_t channels = block->channels, size = block->height * block->width * block->pitch;
    for (int64_t t = 0; t < block->frames; t++)
        for (int64_t k = 0; k < block->count; k++) {
            Place place = place_of(block, block->first + k);
            const float *pixels[6][6];
            find_pixels(block, place, pictures + (place.clip * block->frames + t) * size, outside, pixels);
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
 *     rectify: whether what is below zero becomes zero.
 *     pictures: [clips frames height width channels]; the block's part of it is written.
 */
EXPORTED void winograd_inverse(const Block *block, const float *products, const float *bias, int rectify,
                               float *pictures) {
    int64_t channels = block->channels, size = block->height * block->width * block->pitch;
    for (int64_t t = 0; t < block->frames; t++)
        for (int64_t k = 0; k < block->count; k++) {
            Place place = place_of(block, block->first + k);
            int64_t rows = least(4, block->height - place.row), columns = least(4, block->width - place.column);
            const float *product = products + (t * block->count + k) * block->row;
            float *corner = pictures + (place.clip * block->frames + t) * size +
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
 *     outside: as many zeros as there are channels.
 *     patches: [6 count channels], `step` apart; written.
 */
EXPORTED void winograd_time_data(const Block *block, const float *clips, const float *outside, float *patches) {
    int64_t channels = block->channels, size = block->height * block->width * block->pitch;
    for (int64_t k = 0; k < block->count; k++) {
        Moment moment = moment_of(block, block->first + k);
        const float *first = clips + moment.clip * block->frames * size + moment.pixel * block->pitch, *pixels[6];
        for (int i = 0; i < 6; i++) {
            int64_t frame = moment.frame + i - 1;
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
 *     rectify: whether what is below zero becomes zero.
 *     clips: [clips frames height width channels]; the block's part of it is written.
 */
EXPORTED void winograd_time_inverse(const Block *block, const float *products, const float *bias, int rectify,
                                    float *clips) {
    int64_t channels = block->channels, size = block->height * block->width * block->pitch;
    for (int64_t k = 0; k < block->count; k++) {
        Moment moment = moment_of(block, block->first + k);
        int64_t frames = least(4, block->frames - moment.frame);
        const float *product = products + k * block->row;
        float *first = clips + (moment.clip * block->frames + moment.frame) * size + moment.pixel * block->pitch;
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
