/**
 * An API server in memory for workflow runs: any object by its path, UIDs, field managers,
 * finalizers, and requests whose answer is lost.
 */
import type { KubeAnswer, KubeApi, KubeRequest } from "../../reconciler/kubernetes/api.ts";

type Metadata = {
  uid: string;
  name: string;
  deletionTimestamp?: string;
  finalizers?: string[];
  managedFields?: { manager: string }[];
};
export type SmallObject = { metadata: Metadata; [key: string]: unknown };
type Options = { preconditions?: { uid?: string } };

export class SmallKube implements KubeApi {
  readonly objects = new Map<string, SmallObject>();
  readonly calls: string[] = [];
  /** Called before a request is done; an answer of its own replaces that of the server. */
  before: (request: KubeRequest) => Promise<KubeAnswer | null> = async () => null;
  #serial = 0;

  /** Makes one without a request. */
  put(path: string, metadata: Partial<Metadata> = {}): SmallObject {
    this.#serial += 1;
    const name = decodeURIComponent(path.slice(path.lastIndexOf("/") + 1));
    const object = { metadata: { uid: `uid-${this.#serial}`, name, ...metadata } };
    this.objects.set(path, object);
    return object;
  }

  async call(request: KubeRequest): Promise<KubeAnswer> {
    const { verb, path } = request;
    this.calls.push(`${verb} ${path}`);
    const own = await this.before(request);
    return own ?? this.perform(request);
  }

  perform({ verb, path, body, query }: KubeRequest): KubeAnswer {
    const held = this.objects.get(path);
    if (verb === "create") {
      const { name = "" } = (body as SmallObject).metadata;
      const at = `${path}/${name}`;
      if (this.objects.has(at)) return refuse(409, "AlreadyExists", `${name} already exists`);
      const managedFields = [{ manager: query?.["fieldManager"] ?? "unknown" }];
      return { kind: "ok", status: 201, body: this.put(at, { managedFields }) };
    }
    if (verb === "list") return { kind: "ok", status: 200, body: { items: this.#under(path) } };
    if (held === undefined) return refuse(404, "NotFound", `${path} not found`);
    if (verb === "delete") return this.#delete(path, held, body as Options | undefined);
    return { kind: "ok", status: 200, body: held };
  }

  async watch(): ReturnType<KubeApi["watch"]> {
    return { kind: "ended" };
  }

  close(): void {}

  #under(path: string): SmallObject[] {
    return [...this.objects].filter(([at]) => at.startsWith(`${path}/`)).map(([, one]) => one);
  }

  #delete(path: string, held: SmallObject, options: Options | undefined): KubeAnswer {
    const wanted = options?.preconditions?.uid;
    if (wanted !== undefined && wanted !== held.metadata.uid) {
      return refuse(409, "Conflict", "the UID in the precondition does not match");
    }
    if ((held.metadata.finalizers ?? []).length > 0) {
      held.metadata.deletionTimestamp = "2026-11-23T08:00:00Z";
    } else this.objects.delete(path);
    return { kind: "ok", status: 200, body: held };
  }
}

export function refuse(status: number, reason: string, message: string): KubeAnswer {
  return { kind: "refused", status, reason, message, causes: [], retryAfterMs: null };
}
