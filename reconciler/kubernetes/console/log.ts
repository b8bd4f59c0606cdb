/**
 * Reads and follows logs of containers. What a container wrote is data: control characters are
 * kept, and whoever shows them escapes them.
 */
import type { PodFacts, PodLog } from "../../../schema/console/cluster.ts";
import type { Asked, Failed, Followed, LogQuery, PodRef } from "../../core/console/cluster.ts";
import type { Clock } from "../../core/clock.ts";
import type { KubeApi, KubeText, TextEnd } from "../api.ts";
import { readList as readAll } from "../call.ts";
import { pathOf, readPodNow, refusal } from "./act.ts";
import { failed, lostAnswer } from "./copies.ts";
import { readConsolePod } from "./read-pod.ts";

export type LogPorts = { api: KubeApi; texts: KubeText; clock: Clock };

/** Ten thousand lines of some 400 characters; the server cuts what is longer. */
const LOG_BYTES_MAX = 4 * 1024 * 1024;
/** The API server gives an unreachable kubelet up after 30 s: too late for a reader. */
const ANSWER_MS = 10_000;
const FIND_MS = 3_500;
/** Namespaces named in an answer. */
const NAMED_MAX = 20;

type Chosen = { ref: PodRef; container: string; containers: string[] };

export async function readLog(ports: LogPorts, query: LogQuery): Promise<Asked<PodLog>> {
  const chosen = await choose(ports, query);
  if (chosen.kind === "failed") return chosen;
  const { ref, container, containers } = chosen.value;
  const decoder = new TextDecoder();
  const parts: string[] = [];
  let bytes = 0;
  const stop = new AbortController();
  const cancel = ports.clock.after(ANSWER_MS, () => stop.abort());
  const asked = { ...queryOf(query, container), limitBytes: String(LOG_BYTES_MAX) };
  const end = await ports.texts.text(
    `${pathOf(ref)}/log`,
    asked,
    async (chunk) => {
      bytes += chunk.byteLength;
      parts.push(decoder.decode(chunk, { stream: true }));
      return bytes < LOG_BYTES_MAX;
    },
    { signal: stop.signal, answerMs: ANSWER_MS },
  );
  cancel();
  if (stop.signal.aborted) {
    const what = formatLog(chosen.value);
    return failed("cluster_slow", `${what} did not end in ${ANSWER_MS / 1_000} s`);
  }
  const why = whyNot(end, chosen.value);
  if (why !== null) return why;
  const value: PodLog = {
    ...{ podName: ref.name, containerName: container, namespace: ref.namespace },
    logs: parts.join("") + decoder.decode(),
    timestamp: new Date(ports.clock.wallMs()).toISOString(),
    ...{ containers, truncated: bytes >= LOG_BYTES_MAX },
  };
  return { kind: "ok", value };
}

export async function followLog(
  ports: LogPorts,
  query: LogQuery,
  signal: AbortSignal,
): Promise<Asked<Followed>> {
  const chosen = await choose(ports, query);
  if (chosen.kind === "failed") return chosen;
  const { ref, container, containers } = chosen.value;
  const timestamp = new Date(ports.clock.wallMs()).toISOString();
  const read: Followed["read"] = async (take) => {
    const decoder = new TextDecoder();
    const asked = { ...queryOf(query, container), follow: "true" };
    const end = await ports.texts.text(
      `${pathOf(ref)}/log`,
      asked,
      async (chunk) => {
        const text = decoder.decode(chunk, { stream: true });
        if (text !== "") await take(text);
        return !signal.aborted;
      },
      { signal, answerMs: ANSWER_MS },
    );
    return whyNot(end, chosen.value)?.message ?? null;
  };
  const named = { podName: ref.name, containerName: container, namespace: ref.namespace };
  return { kind: "ok", value: { ...named, timestamp, containers, read } };
}

function queryOf({ tailLines, previous }: LogQuery, container: string): Record<string, string> {
  const first = { container, tailLines: String(tailLines) };
  return previous ? { ...first, previous: "true" } : first;
}

const formatLog = ({ ref, container }: Chosen): string =>
  `the log of ${container} in ${ref.namespace}/${ref.name}`;

function whyNot(end: TextEnd, chosen: Chosen): Failed | null {
  const what = formatLog(chosen);
  if (end.kind === "ended") return null;
  // The server answers with 500 for a kubelet that it cannot reach.
  if (end.kind === "lost" && end.message.startsWith("HTTP ")) {
    return failed("cluster_unreachable", `${what}: ${end.message}`);
  }
  if (end.kind === "lost") return lostAnswer(end.message);
  const { status, message } = end;
  // The container has not started, or never ran before.
  if (status === 400) {
    const isPrevious = /^previous terminated container/.test(message);
    return failed(isPrevious ? "not_found" : "conflict", `${what}: ${message}`);
  }
  return refusal(end, what);
}

/** The pod and its container. */
async function choose(ports: LogPorts, query: LogQuery): Promise<Asked<Chosen>> {
  const found = await find(ports, query);
  if (found.kind === "failed") return found;
  const { name, namespace, containers, initContainers } = found.value;
  const all = [...containers, ...initContainers].map((one) => one.name);
  const container = query.container ?? all[0] ?? "";
  if (!all.includes(container)) {
    const there = `the pod has ${all.join(", ")}`;
    return failed("not_found", `no container ${container} in ${namespace}/${name}: ${there}`);
  }
  return { kind: "ok", value: { ref: { namespace, name }, container, containers: all } };
}

/** Without a namespace, the one pod of that name. */
async function find({ api }: LogPorts, { namespace, name }: LogQuery): Promise<Asked<PodFacts>> {
  if (namespace !== null) return readPodNow(api, { namespace, name });
  const query = { fieldSelector: `metadata.name=${name}` };
  const read = (json: unknown) => readConsolePod(json)?.facts ?? null;
  const answer = await readAll(api, "/api/v1/pods", query, { timeoutMs: FIND_MS, read });
  if (answer.kind !== "ok") return refusal(answer, name);
  const [first, ...others] = answer.items;
  if (first === undefined) return failed("not_found", `no pod ${name} in any namespace`);
  if (others.length === 0) return { kind: "ok", value: first };
  const namespaces = answer.items.map((one) => one.namespace).sort();
  const shown = namespaces.slice(0, NAMED_MAX).join(", ");
  return failed("conflict", `${namespaces.length} pods are named ${name}; add namespace: ${shown}`);
}
