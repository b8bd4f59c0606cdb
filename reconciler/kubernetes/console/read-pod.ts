/** Parses a Pod object into what the console shows of it. */
import type {
  V1Container,
  V1ContainerState,
  V1ContainerStatus,
  V1ObjectMeta,
  V1OwnerReference,
  V1Pod,
  V1PodCondition,
  V1PodSpec,
  V1PodStatus,
} from "@kubernetes/client-node";
import type { Condition, ContainerView, Owner, PodFacts } from "../../../schema/console/cluster.ts";
import { type ContainerState, type InitStatus, podStatus } from "../../core/console/pod-status.ts";
import type { Fields, Identity, Untrusted } from "../read-field.ts";
import { readIdentity, readList, readObject, readText, readTextMap } from "../read-field.ts";
import { podResources } from "./resources.ts";

const MIRROR = "kubernetes.io/config.mirror";

export type HeldPod = Identity & { namespace: string; facts: PodFacts };

/** `null` if it is no Pod with a namespace, a name and a UID; never throws. */
export function readConsolePod(json: unknown): HeldPod | null {
  const object = readObject<V1Pod>(json);
  const metadata = readObject<V1ObjectMeta>(object.metadata);
  const identity = readIdentity(metadata);
  const namespace = readText(metadata.namespace);
  if (identity === null || namespace === null) return null;
  const spec = readObject<V1PodSpec>(object.spec);
  const status = readObject<V1PodStatus>(object.status);
  const conditions = readConditions(status.conditions);
  const phase = readText(status.phase) ?? "Unknown";
  const statuses = readStatuses(status.containerStatuses);
  const inits = readStatuses(status.initContainerStatuses);
  const deletionTimestamp = readText(metadata.deletionTimestamp);
  const isTrue = (type: string): boolean => {
    return conditions.some((one) => one.type === type && one.status === "True");
  };
  const state = {
    phase,
    reason: readText(status.reason) ?? "",
    isDeleting: deletionTimestamp !== null,
    isGated: conditions.some(({ type, reason }) => {
      return type === "PodScheduled" && reason === "SchedulingGated";
    }),
    isInitialized: isTrue("Initialized"),
    isReady: isTrue("Ready"),
    initCount: readList(spec.initContainers).length,
    inits: readList(status.initContainerStatuses).map((raw) => initOf(raw, spec)),
    containers: readList(status.containerStatuses).map((raw) => {
      const one = readObject<V1ContainerStatus>(raw);
      return { state: stateOf(one.state), ready: one.ready === true };
    }),
  };
  const facts: PodFacts = {
    ...{ name: identity.name, namespace, phase, status: podStatus(state) },
    nodeName: readText(spec.nodeName) ?? "",
    ip: readText(status.podIP) ?? "",
    startTime: readText(status.startTime),
    containers: containersOf(spec.containers, statuses),
    initContainers: containersOf(spec.initContainers, inits),
    labels: readTextMap(metadata.labels),
    conditions,
    uid: identity.uid,
    creationTimestamp: readText(metadata.creationTimestamp),
    deletionTimestamp,
    owner: ownerOf(metadata.ownerReferences),
    isMirror: Object.hasOwn(readObject(metadata.annotations), MIRROR),
    resources: podResources(spec),
  };
  return { ...identity, namespace, facts };
}

function initOf(raw: unknown, spec: Untrusted<V1PodSpec>): InitStatus {
  const one = readObject<V1ContainerStatus>(raw);
  const isSidecar = readList(spec.initContainers).some((each) => {
    const { name, restartPolicy } = readObject<V1Container>(each);
    return name === one.name && restartPolicy === "Always";
  });
  const { ready, started, state } = one;
  return { isSidecar, started: started === true, ready: ready === true, state: stateOf(state) };
}

function stateOf(value: unknown): ContainerState {
  const { waiting, running, terminated } = readObject<V1ContainerState>(value);
  if (isGiven(waiting)) {
    return { kind: "waiting", reason: readText(readObject(waiting)["reason"]) ?? "" };
  }
  if (isGiven(terminated)) {
    const ended = readObject(terminated);
    const [exitCode, signal] = [numberOf(ended["exitCode"]), numberOf(ended["signal"])];
    return { kind: "terminated", reason: readText(ended["reason"]) ?? "", exitCode, signal };
  }
  return isGiven(running) ? { kind: "running" } : { kind: "none" };
}

const isGiven = (value: unknown): boolean => value !== undefined && value !== null;
const numberOf = (value: unknown): number => (Number.isSafeInteger(value) ? Number(value) : 0);

/** Conditions in the form of pods and of Flux objects. */
export function readConditions(value: unknown): Condition[] {
  return readList(value).flatMap((raw) => {
    const one = readObject<V1PodCondition>(raw);
    const type = readText(one.type);
    if (type === null) return [];
    const [reason, message] = [readText(one.reason), readText(one.message)];
    return [
      {
        type,
        status: readText(one.status) ?? "Unknown",
        lastTransitionTime: readText(one.lastTransitionTime),
        ...(reason === null ? {} : { reason }),
        ...(message === null ? {} : { message }),
      },
    ];
  });
}

type Statuses = ReadonlyMap<string, Untrusted<V1ContainerStatus>>;

function readStatuses(value: unknown): Statuses {
  const all = readList(value).map((raw) => readObject<V1ContainerStatus>(raw));
  return new Map(all.map((one) => [readText(one.name) ?? "", one]));
}

function containersOf(specs: unknown, statuses: Statuses): ContainerView[] {
  return readList(specs).map((raw) => {
    const { name: given, image } = readObject<V1Container>(raw);
    const name = readText(given) ?? "";
    const status = statuses.get(name);
    const state = stateOf(status?.state);
    const last = stateOf(status?.lastState);
    const detail = readObject<V1ContainerState>(status?.state);
    const message = readText(readObject<Fields>(detail.waiting ?? detail.terminated)["message"]);
    const lastReason = last.kind === "terminated" ? last.reason : "";
    return {
      name,
      image: readText(image) ?? "",
      ready: status?.ready === true,
      restartCount: numberOf(status?.restartCount),
      state: state.kind === "none" ? "unknown" : state.kind,
      ...("reason" in state && state.reason !== "" ? { reason: state.reason } : {}),
      ...(message === null ? {} : { message }),
      ...(state.kind === "terminated" ? { exitCode: state.exitCode } : {}),
      ...(lastReason === "" ? {} : { lastReason }),
    };
  });
}

function ownerOf(value: unknown): Owner | null {
  for (const raw of readList(value)) {
    const { controller, kind, name } = readObject<V1OwnerReference>(raw);
    if (controller === true) return { kind: readText(kind) ?? "", name: readText(name) ?? "" };
  }
  return null;
}
