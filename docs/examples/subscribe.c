/* Verdicts of a Shadowline station, for a gate that must act in time. Silence means reject.
 *
 *     cc -Wall -O2 -o subscribe subscribe.c -lzmq
 *     ./subscribe tcp://127.0.0.1:5560 3000
 *
 * Prints a line for each verdict; "reject silence" when nothing came for so many milliseconds (3 heartbeats), and
 * "reject gap" where messages are missing. A message has two parts, topic and JSON. Two of its fields are enough here;
 * JSON escapes the quotes inside a text, so the search for a key can't find one there.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

static volatile sig_atomic_t stopping;

static void stop(int number)
{
    (void)number;
    stopping = 1;
}

/* Copies the next message's topic and text; returns 0, or -1 when none came in time or it is too large. */
static int receive(void *socket, char *topic, size_t topic_size, char *text, size_t text_size)
{
    int topic_length = zmq_recv(socket, topic, topic_size - 1, 0);
    if (topic_length < 0)
        return -1;
    int more = 0, text_length = -1;
    size_t more_size = sizeof more;
    zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &more_size);
    while (more) {
        text_length = zmq_recv(socket, text, text_size - 1, 0);
        zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &more_size);
    }
    if (text_length < 0 || (size_t)text_length >= text_size || (size_t)topic_length >= topic_size)
        return -1;
    topic[topic_length] = text[text_length] = '\0';
    return 0;
}

int main(int count, char **words)
{
    const char *endpoint = count > 1 ? words[1] : "tcp://127.0.0.1:5560";
    int silence_ms = count > 2 ? atoi(words[2]) : 3000;
    static char topic[256], text[1 << 20];
    long long last = 0;

    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, ZMQ_SUB);
    zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0);
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &silence_ms, sizeof silence_ms);
    if (zmq_connect(socket, endpoint) != 0) {
        fprintf(stderr, "%s: %s\n", endpoint, zmq_strerror(zmq_errno()));
        return 2;
    }
    signal(SIGINT, stop);
    signal(SIGTERM, stop);
    setvbuf(stdout, NULL, _IOLBF, 0);

    while (!stopping) {
        char verdict[16];
        long long number;
        if (receive(socket, topic, sizeof topic, text, sizeof text) != 0) {
            printf("reject silence\n");
            continue;
        }
        const char *event = strstr(text, "\"event\":");
        if (event == NULL || sscanf(event, "\"event\":%lld", &number) != 1)
            continue; /* a heartbeat: the station lives */
        if (last != 0 && number != last + 1)
            printf("reject gap %lld %lld\n", last, number);
        last = number;
        const char *found = strstr(text, "\"verdict\":\"");
        if (strncmp(topic, "inspection.", 11) == 0 && found != NULL
            && sscanf(found, "\"verdict\":\"%15[a-z]", verdict) == 1)
            printf("%s %s %lld\n", strcmp(verdict, "accept") == 0 ? "pass" : "reject", topic + 11, number);
    }
    zmq_close(socket);
    zmq_ctx_term(context);
    return 0;
}
