/**
 * A small API server in memory for objects of any kind: discovery, CRUD with UID and
 * `managedFields`, watches with bookmarks of versions, and faults that a test switches on.
 */
import type {
  KubeAnswer,
  KubeApi,
  KubeRequest,
  WatchEnd,
  WatchEvent,
} from "../../reconciler/kubernetes/api.ts";

export type Kind = {
  group: string;
  version: string;
  resource: string;
  kind: string;
  isNamespaced: boolean;
  hasStatus: boolean;
};

const kind = (apiVersion: string, resource: string, name: string, isNamespaced = true): Kind => {
  const [version = "", group = ""] = apiVersion.split("/").reverse();
  return { group, version, resource, kind: name, isNamespaced, hasStatus: name !== "ConfigMap" };
};
export const KINDS: readonly Kind[] = [
  kind("v1", "pods", "Pod"),
  kind("v1", "configmaps", "ConfigMap"),
  kind("v1", "secrets", "Secret"),
  kind("v1", "nodes", "Node", false),
  kind("batch/v1", "jobs", "Job"),
  kind("example.com/v1", "myobjects", "MyObject"),
  kind("example.com/v1", "queues", "Queue", false),
];

type Meta = {
  name: string;
  namespace?: string;
  uid: string;
  resourceVersion: string;
  managedFields: { manager: string }[];
};
export type Held = { metadata: Meta } & Record<string, unknown>;
type Fields = Record<string, unknown>;
type Watcher = { prefix: string; take: (event: WatchEvent) => void; end: (end: WatchEnd) => void };

export class ObjectServer implements KubeApi {
  readonly kinds: Kind[] = [...KINDS];
  /** By path. */
  readonly objects = new Map<string, Held>();
  readonly requests: KubeRequest[] = [];
  /** Decides about a request before it is done; `after` it is done, and its answer is lost. */
  fault: (request: KubeRequest) => KubeAnswer | "after" | null = () => null;
  readonly #watchers = new Set<Watcher>();
  readonly #history: { version: number; path: string; event: WatchEvent }[] = [];
  #version = 100;

  put(path: string, object: Fields): Held {
    this.#version += 1;
    const { metadata, ...rest } = object;
    const before = this.objects.get(path);
    const [, namespace] = /\/namespaces\/([^/]+)\//.exec(path) ?? [];
    const held: Held = {
      ...rest,
      metadata: {
        name: path.split("/").at(-1) ?? "",
        ...(namespace === undefined ? {} : { namespace }),
        uid: before?.metadata.uid ?? `uid-${this.#version}`,
        managedFields: before?.metadata.managedFields ?? [],
        ...(metadata as Fields),
        resourceVersion: String(this.#version),
      },
    };
    this.objects.set(path, held);
    this.#tell(path, before === undefined ? "ADDED" : "MODIFIED", held);
    return held;
  }

  remove(path: string): void {
    const held = this.objects.get(path);
    this.objects.delete(path);
    this.#version += 1;
    if (held !== undefined) this.#tell(path, "DELETED", held);
  }

  /** Ends every watch. */
  cut(end: WatchEnd): void {
    for (const watcher of this.#watchers) watcher.end(end);
  }

  paths(): string[] {
    return [...this.objects.keys()];
  }

  async call(request: KubeRequest): Promise<KubeAnswer> {
    await Promise.resolve();
    this.requests.push(request);
    const fault = this.fault(request);
    if (fault !== null && fault !== "after") return fault;
    const answer = this.#answer(request);
    return fault === "after" ? { kind: "lost", message: "connection reset" } : answer;
  }

  watch(
    path: string,
    query: Readonly<Record<string, string>>,
    take: (event: WatchEvent) => void,
    { signal }: { signal: AbortSignal },
  ): Promise<WatchEnd> {
    const { promise, resolve } = Promise.withResolvers<WatchEnd>();
    const watcher = { prefix: path, take, end: resolve };
    const fault = this.fault({ verb: "get", path, query, timeoutMs: 0, lane: "read" });
    if (fault !== null && fault !== "after" && fault.kind === "lost") resolve(fault);
    else {
      const since = Number(query["resourceVersion"] ?? this.#version);
      for (const { version, path: at, event } of this.#history) {
        if (version > since && isUnder(at, path)) take(event);
      }
      this.#watchers.add(watcher);
    }
    signal.addEventListener("abort", () => resolve({ kind: "ended" }), { once: true });
    return promise.finally(() => this.#watchers.delete(watcher));
  }

  close(): void {
    this.cut({ kind: "ended" });
  }

  #tell(path: string, type: WatchEvent["type"], object: Held): void {
    const event = { type, object: structuredClone(object) };
    this.#history.push({ version: this.#version, path, event });
    for (const { prefix, take } of this.#watchers) {
      if (isUnder(path, prefix)) take(event);
    }
  }

  #answer({ verb, path, query, body }: KubeRequest): KubeAnswer {
    const found = this.#discovery(path);
    if (found !== null) return found;
    // A collection, an object or its status.
    const isStatus = path.endsWith("/status");
    const at = isStatus ? path.slice(0, -"/status".length) : path;
    const held = this.objects.get(at);
    switch (verb) {
      case "list": {
        const items = this.paths().filter((one) => isUnder(one, path));
        const resourceVersion = String(this.#version);
        const objects = items.map((one) => this.objects.get(one));
        return ok({ items: objects, metadata: { resourceVersion } });
      }
      case "create": {
        // As it is sent: text.
        const sent = JSON.parse(JSON.stringify(body)) as { metadata: { name: string } };
        const place = `${path}/${sent.metadata.name}`;
        if (this.objects.has(place)) return refused(409, "AlreadyExists", `${place} exists`);
        const managedFields = [{ manager: query?.["fieldManager"] ?? "" }];
        return ok(this.put(place, { ...sent, metadata: { ...sent.metadata, managedFields } }), 201);
      }
      case "get":
        return held === undefined ? notFound(path) : ok(held);
      case "patch":
        if (held === undefined) return notFound(path);
        if (isOther(held, body)) return refused(409, "Conflict", "uid mismatch");
        return ok(this.put(at, merge(held, body, isStatus)));
      case "delete": {
        if (held === undefined) return notFound(path);
        const { preconditions } = body as { preconditions?: { uid: string } };
        if (preconditions !== undefined && preconditions.uid !== held.metadata.uid) {
          return refused(409, "Conflict", "the UID in the precondition does not match");
        }
        this.remove(at);
        return ok({ kind: "Status", status: "Success" });
      }
    }
  }

  #discovery(path: string): KubeAnswer | null {
    const [api, ...parts] = path.split("/").slice(1);
    const isCore = api === "api" && parts.length === 1;
    const [group = "", version] = isCore ? ["", parts[0]] : parts;
    if (!isCore && (api !== "apis" || parts.length > 2)) return null;
    const inGroup = this.kinds.filter((one) => one.group === group);
    const served = inGroup.filter((one) => version === undefined || one.version === version);
    if (served.length === 0) return notFound(path);
    if (version === undefined) {
      return ok({ versions: [...new Set(served.map((one) => one.version))].map(named) });
    }
    const resources = served.flatMap((one) => {
      const own = { name: one.resource, kind: one.kind, namespaced: one.isNamespaced };
      return one.hasStatus ? [{ ...own, name: `${one.resource}/status` }, own] : [own];
    });
    return ok({ kind: "APIResourceList", resources });
  }
}

const named = (version: string) => ({ version });

const isUnder = (path: string, collection: string): boolean => {
  const plural = collection.split("/").at(-1) ?? "";
  const folder = path.slice(0, path.lastIndexOf("/"));
  if (folder === collection) return true;
  // Of all namespaces.
  const root = collection.slice(0, -plural.length - 1);
  return folder.startsWith(`${root}/namespaces/`) && folder.endsWith(`/${plural}`);
};

const ok = (body: unknown, status = 200): KubeAnswer => {
  return { kind: "ok", status, body: structuredClone(body) };
};
export const refused = (status: number, reason: string, message: string): KubeAnswer => {
  return { kind: "refused", status, reason, message, causes: [], retryAfterMs: null };
};
const notFound = (path: string): KubeAnswer => refused(404, "NotFound", `${path} not found`);

function isOther(held: Held, patch: unknown): boolean {
  const { uid } = (patch as { metadata?: { uid?: string } }).metadata ?? {};
  return uid !== undefined && uid !== held.metadata.uid;
}

/** RFC 7396; a status is written through its own path alone. */
function merge(held: Held, patch: unknown, isStatus: boolean): Fields {
  const given = patch as Fields;
  if (isStatus) return { ...held, status: mergeValue(held["status"], given["status"]) };
  const { status: _, ...rest } = given;
  return mergeValue(held, rest) as Fields;
}

function mergeValue(target: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const isMap = typeof target === "object" && target !== null && !Array.isArray(target);
  const merged: Fields = isMap ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = mergeValue(merged[key], value);
  }
  return merged;
}
