/** Reads and resizes the StatefulSet whose pods are Slurm's nodes (`slurm.pods`). */
import type {
  V1ObjectMeta,
  V1Pod,
  V1StatefulSet,
  V1StatefulSetSpec,
} from "@kubernetes/client-node";
import type { PodPlace, PodSet, PodSetAnswer, PodSetPort } from "../core/slurm/pod-set.ts";
import { type KubeApi, type KubeAnswer, PATCH } from "./api.ts";
import { explainForbidden } from "./permission.ts";
import { readObject, readText } from "./read-field.ts";
import { parseInstant } from "../../schema/instant.ts";

const TIMEOUT_MS = 10_000;
/** Who released nodes last, for people; its change is what matters. */
const NOTE = "/metadata/annotations/navarch.dev~1slurm-pods";
const MANAGER = { fieldManager: "navarch" };

export function openPodSet(api: KubeApi): PodSetPort {
  const get = (path: string): Promise<KubeAnswer> =>
    api.call({ verb: "get", path, timeoutMs: TIMEOUT_MS, lane: "read" });
  const patch = async (
    place: PodPlace,
    seen: PodSet,
    changes: readonly object[],
    limitMs: number,
  ): Promise<PodSetAnswer<null>> => {
    const test = (path: string, value: unknown) => ({ op: "test", path, value });
    const version = test("/metadata/resourceVersion", seen.version);
    const answer = await api.call({
      verb: "patch",
      path: pathOf(place),
      query: MANAGER,
      contentType: PATCH.json,
      body: [test("/metadata/uid", seen.uid), version, ...changes],
      timeoutMs: Math.min(TIMEOUT_MS, limitMs),
      lane: "status",
    });
    return answer.kind === "ok" ? { kind: "ok", value: null } : failed(answer);
  };
  return {
    async read(place) {
      const answer = await get(pathOf(place));
      if (answer.kind !== "ok") return failed(answer);
      const set = readSet(answer.body);
      if (set !== null) return { kind: "ok", value: set };
      return { kind: "failed", message: "the API server's answer is no StatefulSet" };
    },
    resize(place, seen, to, limitMs) {
      const path = "/spec/replicas";
      const was = { op: "test", path, value: seen.replicas };
      return patch(place, seen, [was, { op: "replace", path, value: to }], limitMs);
    },
    fence(place, seen, note, limitMs) {
      const whole = { op: "add", path: "/metadata/annotations", value: {} };
      const add = { op: "add", path: NOTE, value: note };
      return patch(place, seen, seen.hasNotes ? [add] : [whole, add], limitMs);
    },
    async bornAt({ namespace }, pod) {
      const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/`;
      const answer = await get(`${path}${encodeURIComponent(pod)}`);
      if (answer.kind === "refused" && answer.status === 404) return { kind: "ok", value: null };
      if (answer.kind !== "ok") return failed(answer);
      const metadata = readObject<V1ObjectMeta>(readObject<V1Pod>(answer.body).metadata);
      const at = parseInstant(readText(metadata.creationTimestamp) ?? "");
      const isThere = Number.isFinite(at) && metadata.deletionTimestamp === undefined;
      return { kind: "ok", value: isThere ? at : null };
    },
  };
}

function pathOf({ namespace, name }: PodPlace): string {
  const [where, one] = [namespace, name].map(encodeURIComponent);
  return `/apis/apps/v1/namespaces/${where}/statefulsets/${one}`;
}

function readSet(body: unknown): PodSet | null {
  const object = readObject<V1StatefulSet>(body);
  const metadata = readObject<V1ObjectMeta>(object.metadata);
  const spec = readObject<V1StatefulSetSpec>(object.spec);
  const [name, uid] = [readText(metadata.name), readText(metadata.uid)];
  const version = readText(metadata.resourceVersion);
  const first = readObject<{ start: number }>(spec.ordinals).start ?? 0;
  const { replicas } = spec;
  if (name === null || uid === null || version === null) return null;
  if (!isCount(replicas) || !isCount(first)) return null;
  return { name, uid, version, replicas, first, hasNotes: metadata.annotations !== undefined };
}

const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && Number(value) >= 0;

function failed(answer: Exclude<KubeAnswer, { kind: "ok" }>): PodSetAnswer<never> {
  return { kind: "failed", message: explainForbidden(answer) ?? answer.message };
}
