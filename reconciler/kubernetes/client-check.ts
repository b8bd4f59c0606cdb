/**
 * Proves the client path to an API server: identity, list, watch, each patch, status and eviction,
 * on a ConfigMap and a pod of its own that no scheduler places. Both are deleted by UID; what a
 * killed check left, a later one removes by its label (docs/reference/workflows.md#client-path).
 */
import type { Clock } from "../core/clock.ts";
import { pause } from "../core/turn/time-limit.ts";
import type { KubeAnswer, KubeApi, KubeRequest, WatchEvent } from "./api.ts";
import { deleteOptions, PATCH } from "./api.ts";
import { checkIdentity, type ClientIdentity } from "./client-identity.ts";
import { refusalText } from "./node-call.ts";
import { readIdentity, readInstantMs, readList, readObject } from "./read-field.ts";

export type ClientCheck = { name: string; isGood: boolean; message: string };

export type CheckPorts = {
  api: KubeApi;
  identity: ClientIdentity;
  clock: Clock;
  namespace: string;
  /** Makes the names of this check unique: lower-case letters and digits. */
  suffix: string;
};

const LABEL = "app.kubernetes.io/managed-by";
const OWNER = "navarch-doctor";
const CALL_MS = 10_000;
const EVENT_MS = 10_000;
/** A check lasts seconds; clocks differ by less. */
const LEFT_MS = 10 * 60_000;

export async function checkClient(ports: CheckPorts): Promise<ClientCheck[]> {
  const { checks, isUsable } = await checkIdentity(ports.api, ports.identity);
  if (!isUsable) return checks;
  const check = new Check(ports);
  return [...checks, ...(await check.run())];
}

/** One object that the check made. */
type Own = { path: string; uid: string };

class Check {
  readonly #ports: CheckPorts;
  readonly #found: ClientCheck[] = [];
  readonly #made: Own[] = [];
  readonly #name: string;
  #node: string | null = null;
  /** The first call without an answer: nothing after it is tried. */
  #lost: string | null = null;

  constructor(ports: CheckPorts) {
    this.#ports = ports;
    this.#name = `${OWNER}-${ports.suffix}`;
  }

  async run(): Promise<ClientCheck[]> {
    await this.#list();
    await this.#change();
    const pod = await this.#make("pods", podOf(this.#name));
    await this.#status(pod);
    await this.#evict(pod);
    await this.#clean();
    return this.#found;
  }

  #say(name: string, isGood: boolean, message: string): void {
    this.#found.push({ name, isGood, message });
  }

  async #call(request: Omit<KubeRequest, "timeoutMs" | "lane">): Promise<KubeAnswer> {
    if (this.#lost !== null) return { kind: "lost", message: `not tried: ${this.#lost}` };
    const answer = await this.#ports.api.call({ ...request, timeoutMs: CALL_MS, lane: "status" });
    if (answer.kind === "lost") this.#lost = "the API server does not answer";
    return answer;
  }

  #pathOf(plural: string, name = this.#name): string {
    return `${this.#collection(plural)}/${name}`;
  }

  #collection(plural: string): string {
    return `/api/v1/namespaces/${this.#ports.namespace}/${plural}`;
  }

  async #list(): Promise<void> {
    const query = { limit: "1" };
    const answer = await this.#call({ verb: "list", path: "/api/v1/nodes", query });
    if (answer.kind !== "ok") return this.#say("list", false, refusalText(answer));
    const { items, metadata } = readObject(answer.body);
    const [first] = readList(items);
    this.#node = readIdentity(readObject(readObject(first)["metadata"]))?.name ?? null;
    const { remainingItemCount: rest } = readObject(metadata);
    const count = readList(items).length + (typeof rest === "number" ? rest : 0);
    this.#say("list", true, `${count} nodes, in pages`);
  }

  /** Creates an object; `null`, and why, if that is refused. */
  async #make(plural: string, body: object): Promise<Own | string> {
    const path = this.#pathOf(plural);
    // Noted first: after a lost reply it may be there.
    const own: Own = { path, uid: "" };
    this.#made.push(own);
    const query = { fieldManager: OWNER };
    const answer = await this.#call({
      ...{ verb: "create", path: this.#collection(plural), query, body },
    });
    if (answer.kind === "ok") {
      own.uid = uidOf(answer.body);
      return own;
    }
    if (answer.kind === "refused") this.#made.pop();
    return refusalText(answer);
  }

  /** The watch runs from before the object is made, so that it misses none of its changes. */
  async #change(): Promise<void> {
    const seen = new Set<string>();
    const watch = await this.#watch((event) => seen.add(versionOf(event.object)));
    const made = await this.#make("configmaps", configMapOf(this.#name));
    const isMade = typeof made !== "string";
    const name = `${this.#ports.namespace}/${this.#name}`;
    this.#say("create", isMade, isMade ? `configmap ${name}` : made);
    const versions: string[] = [];
    for (const { check, contentType, body, proves } of PATCHES) {
      if (!isMade) {
        this.#say(check, false, "not tried: there is no object to patch");
        continue;
      }
      const answer = await this.#call({ verb: "patch", path: made.path, contentType, body });
      if (answer.kind !== "ok") this.#say(check, false, refusalText(answer));
      else {
        const data = JSON.stringify(readObject(answer.body)["data"]);
        const isGood = data === JSON.stringify(proves);
        this.#say(check, isGood, isGood ? contentType : `the server made ${data} of it`);
        versions.push(versionOf(answer.body));
      }
    }
    const missing = (): string[] => versions.filter((version) => !seen.has(version));
    await this.#until(() => watch.problem() !== null || missing().length === 0);
    watch.close();
    const problem = watch.problem();
    if (problem !== null) this.#say("watch", false, problem);
    else if (versions.length === 0) this.#say("watch", false, "not tried: nothing was changed");
    else if (missing().length === 0) this.#say("watch", true, `${versions.length} changes seen`);
    else this.#say("watch", false, `${missing().length} changes not seen in ${EVENT_MS / 1_000} s`);
  }

  async #watch(take: (event: WatchEvent) => void) {
    const path = this.#collection("configmaps");
    const listed = await this.#call({ verb: "list", path, query: { labelSelector: SELECTOR } });
    const stop = new AbortController();
    let problem = listed.kind === "ok" ? null : refusalText(listed);
    if (listed.kind === "ok") {
      await this.#sweep("configmaps", listed.body);
      const query = {
        ...{ labelSelector: SELECTOR, timeoutSeconds: "60" },
        resourceVersion: versionOf(listed.body),
      };
      const options = { signal: stop.signal, silenceMs: 30_000 };
      void this.#ports.api.watch(path, query, take, options).then((end) => {
        if (stop.signal.aborted) return;
        problem = "message" in end ? end.message : `the watch ${end.kind} at once`;
      });
    }
    return { problem: () => problem, close: () => stop.abort() };
  }

  async #status(pod: Own | string): Promise<void> {
    const contentType = PATCH.merge;
    const own = typeof pod === "string" ? null : pod.path;
    const path = this.#node === null ? own : `/api/v1/nodes/${this.#node}`;
    if (path === null) return this.#say("status patch", false, "not tried: no node and no pod");
    const body =
      this.#node === null
        ? { status: { message: this.#name } }
        : { status: { capacity: { [OWN_RESOURCE]: "1" } } };
    const answer = await this.#call({
      ...{ verb: "patch", path: `${path}/status`, contentType, body },
      // The node is not ours.
      query: { dryRun: "All" },
    });
    if (answer.kind !== "ok") return this.#say("status patch", false, refusalText(answer));
    const { message, capacity } = readObject(readObject(answer.body)["status"]);
    const isGood = message === this.#name || readObject(capacity)[OWN_RESOURCE] === "1";
    const on = this.#node === null ? "own pod" : `node ${this.#node}`;
    const said = isGood ? `${on}, dry run` : `${on}: the server ignored the patch`;
    this.#say("status patch", isGood, said);
  }

  async #evict(pod: Own | string): Promise<void> {
    if (typeof pod === "string") return this.#say("eviction", false, `no pod to evict: ${pod}`);
    const metadata = { name: this.#name, namespace: this.#ports.namespace };
    const options = { ...deleteOptions(pod.uid), gracePeriodSeconds: 0 };
    const body = { apiVersion: "policy/v1", kind: "Eviction", metadata, deleteOptions: options };
    const answer = await this.#call({ verb: "create", path: `${pod.path}/eviction`, body });
    if (answer.kind !== "ok") return this.#say("eviction", false, refusalText(answer));
    const after = await this.#call({ verb: "get", path: pod.path });
    const isGone = after.kind === "refused" && after.status === 404;
    const { deletionTimestamp } = readObject(after.kind === "ok" ? metadataOf(after.body) : null);
    const isGood = isGone || deletionTimestamp !== undefined;
    this.#say("eviction", isGood, isGood ? "own pod" : "accepted, but the pod stays");
  }

  async #clean(): Promise<void> {
    const left: string[] = [];
    // A lost call must not keep the others from being removed.
    this.#lost = null;
    for (const { path, uid } of this.#made) {
      const known = uid === "" ? await this.#uidAt(path) : uid;
      if (known === null) continue;
      const why = await this.#delete(path, known);
      if (why !== null) left.push(`${path.replace(/^\/api\/v1\//, "")} (${why})`);
    }
    const listed = await this.#call({
      ...{ verb: "list", path: this.#collection("pods"), query: { labelSelector: SELECTOR } },
    });
    if (listed.kind === "ok") await this.#sweep("pods", listed.body);
    const said = left.length === 0 ? "nothing is left" : `left: ${left.join(", ")}`;
    this.#say("cleanup", left.length === 0, said);
  }

  /** `null`: there is none, or it is not ours. `""`: unknown. */
  async #uidAt(path: string): Promise<string | null> {
    const answer = await this.#call({ verb: "get", path });
    if (answer.kind === "ok") return isOurs(answer.body) ? uidOf(answer.body) : null;
    return answer.kind === "refused" && answer.status === 404 ? null : "";
  }

  /** Why it is still there. */
  async #delete(path: string, uid: string): Promise<string | null> {
    if (uid === "") return "unknown whether it was made";
    const body = { ...deleteOptions(uid), gracePeriodSeconds: 0 };
    const answer = await this.#call({ verb: "delete", path, body });
    const isGone = answer.kind === "ok" || (answer.kind === "refused" && answer.status === 404);
    return isGone ? null : refusalText(answer);
  }

  /** What an earlier check left that was killed. */
  async #sweep(plural: string, list: unknown): Promise<void> {
    for (const item of readList(readObject(list)["items"])) {
      const metadata = readObject(metadataOf(item));
      const identity = readIdentity(metadata);
      const madeAt = readInstantMs(metadata["creationTimestamp"]);
      const isOld = madeAt !== null && this.#ports.clock.wallMs() - madeAt > LEFT_MS;
      if (identity === null || !isOld || !isOurs(item)) continue;
      await this.#delete(this.#pathOf(plural, identity.name), identity.uid);
    }
  }

  async #until(isOver: () => boolean): Promise<void> {
    const { clock } = this.#ports;
    const endMs = clock.monoMs() + EVENT_MS;
    while (!isOver() && clock.monoMs() < endMs) {
      await pause(clock, 50);
    }
  }
}

const SELECTOR = `${LABEL}=${OWNER}`;
const OWN_RESOURCE = "navarch.dev/doctor";

/** Each body means something else under another content type. */
const PATCHES = [
  {
    check: "merge patch",
    contentType: PATCH.merge,
    body: { data: { merge: "1", first: null } },
    proves: { merge: "1" },
  },
  {
    check: "strategic patch",
    contentType: PATCH.strategic,
    body: { data: { $patch: "replace", strategic: "1" } },
    proves: { strategic: "1" },
  },
  {
    check: "JSON patch",
    contentType: PATCH.json,
    body: [
      { op: "test", path: "/data/strategic", value: "1" },
      { op: "move", from: "/data/strategic", path: "/data/json" },
    ],
    proves: { json: "1" },
  },
] as const;

function configMapOf(name: string): object {
  return {
    ...{ apiVersion: "v1", kind: "ConfigMap" },
    ...{ metadata: { name, labels: { [LABEL]: OWNER } }, data: { first: "1" } },
  };
}

/** Passes the strictest pod security standard and a quota; no scheduler has this name. */
function podOf(name: string): object {
  const amounts = { cpu: "1m", memory: "1Mi" };
  return {
    ...{ apiVersion: "v1", kind: "Pod", metadata: { name, labels: { [LABEL]: OWNER } } },
    spec: {
      schedulerName: OWNER,
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
      containers: [
        {
          ...{ name: "never-runs", image: "registry.k8s.io/pause:3.10" },
          resources: { requests: amounts, limits: amounts },
          securityContext: {
            allowPrivilegeEscalation: false,
            capabilities: { drop: ["ALL"] },
          },
        },
      ],
    },
  };
}

const metadataOf = (object: unknown): unknown => readObject(object)["metadata"];
const uidOf = (object: unknown): string => readIdentity(readObject(metadataOf(object)))?.uid ?? "";
const isOurs = (object: unknown): boolean =>
  readObject(readObject(metadataOf(object))["labels"])[LABEL] === OWNER;

function versionOf(object: unknown): string {
  const { resourceVersion } = readObject(metadataOf(object));
  return typeof resourceVersion === "string" ? resourceVersion : "";
}
