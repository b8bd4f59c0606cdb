/**
 * Flux objects, in whatever version the cluster serves each kind. Versions of one group differ by
 * kind: Flux 2.0 to 2.2 serve GitRepository in `v1` and HelmRepository in `v1beta2` only.
 */
import type { V1APIGroup, V1APIResourceList, V1ObjectMeta } from "@kubernetes/client-node";
import {
  FLUX_KINDS,
  type Condition,
  type FluxKind,
  type FluxList,
  type FluxObject,
} from "../../../schema/console/cluster.ts";
import type { Asked, Failed, FluxRef, FluxVerb } from "../../core/console/cluster.ts";
import { fluxState, pluralOf } from "../../core/console/flux.ts";
import { suggestForFlux } from "../../core/console/suggestion.ts";
import type { Clock } from "../../core/clock.ts";
import { type KubeApi, PATCH } from "../api.ts";
import { readList as readAll } from "../call.ts";
import { readIdentity, readList, readObject, readText } from "../read-field.ts";
import { refusal } from "./act.ts";
import { failed } from "./copies.ts";
import { readConditions } from "./read-pod.ts";

export type FluxPorts = { api: KubeApi; clock: Clock };

const GROUP: Readonly<Record<FluxKind, string>> = {
  Kustomization: "kustomize.toolkit.fluxcd.io",
  HelmRelease: "helm.toolkit.fluxcd.io",
  GitRepository: "source.toolkit.fluxcd.io",
  HelmRepository: "source.toolkit.fluxcd.io",
};

const CALL_MS = 3_500;
/** A cluster learns new kinds, and versions of them, when Flux is installed or upgraded. */
const KNOWN_MS = 30_000;
const REQUESTED_AT = "reconcile.fluxcd.io/requestedAt";

type Found = { kind: "ok"; value: string | null } | Failed;

export class Flux {
  readonly #ports: FluxPorts;
  readonly #known = new Map<FluxKind, { untilMs: number; version: string }>();

  constructor(ports: FluxPorts) {
    this.#ports = ports;
  }

  async list(): Promise<Asked<FluxList>> {
    const answers = await Promise.all(FLUX_KINDS.map((type) => this.#listOf(type)));
    const failure = answers.find((one) => one.kind === "failed");
    if (failure?.kind === "failed") return failure;
    const values = answers.map((one) => (one.kind === "ok" ? one.value : null));
    const absent = FLUX_KINDS.filter((_, index) => values[index] === null);
    return { kind: "ok", value: { objects: values.flatMap((one) => one ?? []), absent } };
  }

  async act(ref: FluxRef, verb: FluxVerb): Promise<Asked<string>> {
    const { api, clock } = this.#ports;
    const { type, namespace, name } = ref;
    const what = `${type} ${namespace}/${name}`;
    const found = await this.#versionOf(type);
    if (found.kind === "failed") return found;
    if (found.value === null) {
      return failed("not_found", `${what}: Flux is not installed: no ${type} is served`);
    }
    const scope = `namespaces/${encodeURIComponent(namespace)}`;
    const path = `${found.value}/${scope}/${pluralOf(type)}/${encodeURIComponent(name)}`;
    if (verb === "reconcile") {
      const now = await api.call({ verb: "get", path, timeoutMs: CALL_MS, lane: "read" });
      if (now.kind !== "ok") return refusal(now, what);
      const isSuspended = readObject(readObject(now.body)["spec"])["suspend"] === true;
      if (isSuspended) return failed("conflict", `${what} is suspended; resume it first`);
    }
    const annotations = { [REQUESTED_AT]: new Date(clock.wallMs()).toISOString() };
    const spec = { suspend: verb === "suspend" };
    const body = verb === "reconcile" ? { metadata: { annotations } } : { spec };
    // Asked for again by the next call: the version may have changed.
    this.#known.delete(type);
    const answer = await api.call({
      ...{ verb: "patch", path, body, contentType: PATCH.merge },
      ...{ query: { fieldManager: "navarch-console" }, timeoutMs: CALL_MS, lane: "status" },
    });
    if (answer.kind !== "ok") return refusal(answer, what);
    return { kind: "ok", value: `${what}: ${SAID[verb]}` };
  }

  /** `null`: the cluster does not serve the kind. */
  async #listOf(type: FluxKind): Promise<Asked<FluxObject[] | null>> {
    const wasKnown = this.#known.has(type);
    const found = await this.#versionOf(type);
    if (found.kind === "failed") return found;
    if (found.value === null) return { kind: "ok", value: null };
    const path = `${found.value}/${pluralOf(type)}`;
    const version = found.value.replace(/^\/apis\//, "");
    const read = (json: unknown): FluxObject | null => readFlux(json, type, version);
    const answer = await readAll(this.#ports.api, path, {}, { timeoutMs: CALL_MS, read });
    if (answer.kind === "ok") return { kind: "ok", value: answer.items };
    this.#known.delete(type);
    // It was uninstalled, or its version is no longer served.
    if (answer.kind === "refused" && answer.status === 404) {
      return wasKnown ? this.#listOf(type) : { kind: "ok", value: null };
    }
    return refusal(answer, `list ${pluralOf(type)}`);
  }

  /** `/apis/GROUP/VERSION`: the group's preferred version that has the kind. */
  async #versionOf(type: FluxKind): Promise<Found> {
    const { clock } = this.#ports;
    const known = this.#known.get(type);
    if (known !== undefined && clock.monoMs() < known.untilMs) {
      return { kind: "ok", value: known.version };
    }
    const found = await this.#discover(type);
    if (found.kind === "ok" && found.value !== null) {
      this.#known.set(type, { untilMs: clock.monoMs() + KNOWN_MS, version: found.value });
    }
    return found;
  }

  async #discover(type: FluxKind): Promise<Found> {
    const root = `/apis/${GROUP[type]}`;
    const group = await this.#get(root);
    if (group.kind !== "ok") return group;
    const { preferredVersion, versions } = readObject<V1APIGroup>(group.value);
    const names = [preferredVersion, ...readList(versions)].map((one) => {
      return readText(readObject(one)["version"]);
    });
    for (const name of new Set(names)) {
      if (name === null) continue;
      const path = `${root}/${encodeURIComponent(name)}`;
      const served = await this.#get(path);
      if (served.kind !== "ok") return served;
      const { resources } = readObject<V1APIResourceList>(served.value);
      const has = readList(resources).some((one) => readObject(one)["name"] === pluralOf(type));
      if (has) return { kind: "ok", value: path };
    }
    return { kind: "ok", value: null };
  }

  /** `null` body: there is no such path. */
  async #get(path: string): Promise<{ kind: "ok"; value: unknown } | Failed> {
    const answer = await this.#ports.api.call({
      ...{ verb: "get", path, timeoutMs: CALL_MS, lane: "read" },
    });
    if (answer.kind === "ok") return { kind: "ok", value: answer.body };
    if (answer.kind === "refused" && answer.status === 404) return { kind: "ok", value: null };
    return refusal(answer, `read ${path}`);
  }
}

const SAID: Readonly<Record<FluxVerb, string>> = {
  reconcile: "reconciliation requested",
  suspend: "suspended: changes of its source are not applied",
  resume: "resumed",
};

function readFlux(json: unknown, type: FluxKind, apiVersion: string): FluxObject | null {
  const object = readObject<{ metadata: unknown; spec: unknown; status: unknown }>(json);
  const metadata = readObject<V1ObjectMeta>(object.metadata);
  const identity = readIdentity(metadata);
  const namespace = readText(metadata.namespace);
  if (identity === null || namespace === null) return null;
  const spec = readObject(object.spec);
  const status = readObject(object.status);
  const conditions = readConditions(status["conditions"]);
  const ready = conditions.find((one) => one.type === "Ready");
  const hasFailed = ready?.status === "False" && ready.reason !== "Progressing";
  return {
    ...{ name: identity.name, namespace, type, apiVersion },
    status: fluxState(ready, spec["suspend"] === true),
    source: sourceOf(spec),
    revision: revisionOf(status),
    lastUpdated: updatedAt(ready, metadata),
    conditions,
    error: hasFailed ? (ready.message ?? ready.reason ?? "") : null,
    suggestions: hasFailed ? suggestForFlux(ready) : [],
  };
}

function updatedAt(
  ready: Condition | undefined,
  { creationTimestamp }: { readonly creationTimestamp?: unknown },
): string | null {
  return ready?.lastTransitionTime ?? readText(creationTimestamp);
}

/** Of a repository its URL; of what is applied, the object that it comes from. */
function sourceOf(spec: Readonly<Record<string, unknown>>): string | null {
  const url = readText(spec["url"]);
  if (url !== null) return withoutPassword(url);
  const chart = readObject(readObject(readObject(spec["chart"])["spec"])["sourceRef"]);
  for (const from of [spec["sourceRef"], chart, spec["chartRef"]]) {
    const { kind, name } = readObject<{ kind: unknown; name: unknown }>(from);
    const [its, called] = [readText(kind), readText(name)];
    if (its !== null && called !== null) return `${its}/${called}`;
  }
  return null;
}

/** A URL with a user may hold a token. */
const withoutPassword = (url: string): string => url.replace(/^(\w+:\/\/)[^/@]*@/, "$1");

/** In the fields of both generations: a HelmRelease of `v2` keeps a history. */
function revisionOf(status: Readonly<Record<string, unknown>>): string | null {
  const artifact = readText(readObject(status["artifact"])["revision"]);
  const [newest] = readList(status["history"]);
  const chart = readText(readObject(newest)["chartVersion"]);
  const applied = readText(status["lastAppliedRevision"]);
  return artifact ?? applied ?? chart ?? readText(status["lastAttemptedRevision"]);
}
