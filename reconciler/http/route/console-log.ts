/**
 * Logs of pods for the console, whole or as they grow (server-sent events). Each read has an audit
 * row: a log may hold what its reader may not otherwise see.
 */
import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import * as v from "valibot";
import type { LogQuery } from "../../core/console/cluster.ts";
import type { Env, Route } from "./route.ts";
import { hasRole, isInternal, remoteOf, shownBy } from "./gate.ts";
import { clusterOf, labelOf, nameOf, namespace, valueOf } from "./console-cluster.ts";
import { queryNumber, readQuery } from "./request.ts";
import type { Followed } from "./follower.ts";
import type { ConsolePorts } from "./console-cluster.ts";

const TAIL_DEFAULT = 1_000;
const TAIL_MAX = 10_000;
const TAIL_EXPECTED = `expected a whole number from 1 to ${TAIL_MAX}`;
/** The server closes a silent connection after 60 s. */
const BEAT_MS = 15_000;

const flag = v.optional(
  v.pipe(
    v.picklist(["true", "false", "1", "0", ""], "expected true or false"),
    v.transform((given) => given === "true" || given === "1"),
  ),
  "false",
);

const LogAsked = v.object({
  namespace,
  container: labelOf("container"),
  tailLines: v.pipe(
    queryNumber(TAIL_EXPECTED, 1),
    v.check((lines) => (lines ?? 1) <= TAIL_MAX, TAIL_EXPECTED),
  ),
  previous: flag,
  follow: flag,
});

/** For the audit: the pod and container that were found. */
function note(c: Context<Env>, log: { namespace: string; containerName: string }): void {
  c.set("namespace", log.namespace);
  c.set("detail", `container ${log.containerName}`);
}

/**
 * Events: `open` with the log's names, `log` with text of it, `end` at its end or with the reason
 * why it broke off. Data are JSON.
 */
async function followLog(
  c: Context<Env>,
  ports: ConsolePorts & Followed,
  query: LogQuery,
): Promise<Response> {
  const { name: owner } = c.get("principal");
  // Nothing would read, nor end, the stream.
  if (c.req.method === "HEAD") return c.body(null);
  const leave = ports.followers.logs.take(owner);
  const stop = new AbortController();
  const followed = await clusterOf(ports)
    .follow(query, stop.signal)
    .then(valueOf)
    .catch((error: unknown) => {
      leave();
      throw error;
    });
  const { read, ...names } = followed;
  note(c, names);
  const [shown, remote] = [shownBy(c), remoteOf(c)];
  return streamSSE(c, async (stream) => {
    stream.onAbort(() => stop.abort());
    let cancel = (): void => undefined;
    // The reader's credential or network may have ended.
    const mayRead = (): boolean => hasRole(shown, "admin", ports) && isInternal(remote, ports);
    const beat = (): void => {
      cancel = ports.clock.after(BEAT_MS, () => {
        if (!mayRead()) return stop.abort();
        void stream.write(":\n\n");
        beat();
      });
    };
    const send = (event: string, data: unknown): Promise<void> =>
      stream.writeSSE({ event, data: JSON.stringify(data) });
    try {
      await send("open", names);
      beat();
      const why = await read(async (text) => {
        if (mayRead()) return send("log", text);
        stop.abort();
      });
      await send("end", { error: why });
    } finally {
      cancel();
      stop.abort();
      leave();
    }
  });
}

export const logRoutes: readonly Route<ConsolePorts & Followed>[] = [
  {
    at: "GET /api/admin/kubernetes/logs/:pod",
    access: "admin",
    act: ["logs", "pod"],
    isRecorded: true,
    isLeaders: true,
    query: LogAsked,
    says:
      "a container's log; `namespace`, `container`, `tailLines`, `previous`; with `follow=true` " +
      "server-sent events",
    run: async (c, ports) => {
      const name = nameOf(c, "pod");
      const asked = readQuery(c, LogAsked);
      const { namespace: inside = null, container = null, previous, follow } = asked;
      if (inside !== null) c.set("namespace", inside);
      const tailLines = asked.tailLines ?? TAIL_DEFAULT;
      const query: LogQuery = { namespace: inside, name, container, tailLines, previous };
      if (follow) return followLog(c, ports, query);
      const log = valueOf(await clusterOf(ports).logs(query));
      note(c, log);
      return c.json(log);
    },
  },
];
