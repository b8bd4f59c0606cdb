/**
 * Logs refusals by the API server: missing permissions, webhooks and policies. One line per kind of
 * request, repeated with back-off while it lasts, and one when it works again, so callers need not
 * log it. Refused cordons are events of their Node; only their end is logged here. Pure except for
 * its memory.
 */
import type { Clock, Log } from "../core/clock.ts";
import { type Admission, readAdmission, formatAdmission } from "./admission.ts";
import type { KubeAnswer, KubeApi, KubeRequest, WatchEnd } from "./api.ts";
import { accountIn, explainForbidden } from "./permission.ts";
import { GRANT, PASS } from "../core/kubernetes/refusal-cause.ts";
import { backoffMs } from "../core/turn/backoff.ts";

/** Time until the second line; it then doubles. */
const AGAIN_MS = 60_000;
const AGAIN_MAX_MS = 3_600_000;
/** A case without a refusal for this long is forgotten. */
const FORGET_MS = 1_800_000;
/** Most namespaces or objects of one case that must work again before it is over. */
const PLACES_MAX = 64;
const CASES_MAX = 200;

type Target = {
  /** `patch nodes/status`, as in a role. */
  what: string;
  namespace: string;
  name: string;
  isNode: boolean;
};

type Case = {
  places: Set<string>;
  sinceMono: number;
  lastMono: number;
  nextMono: number;
  /** How often it was told. */
  tellings: number;
  times: number;
};

type Ports = { clock: Pick<Clock, "monoMs">; log: Log; isOptional: boolean };

/** The same API with its refusals logged. `isOptional`: `kubernetes.enabled` is `auto`. */
export function heard(api: KubeApi, ports: Ports): KubeApi {
  const refusals = new RefusalLog(ports);
  return {
    async call(request) {
      const answer = await api.call(request);
      refusals.note(request, answer);
      return answer;
    },
    async watch(path, query, take, options) {
      let isOpen = false;
      const first: typeof take = (event) => {
        if (!isOpen) refusals.noteWatch(path, null);
        isOpen = true;
        take(event);
      };
      const end = await api.watch(path, query, first, options);
      if (end.kind === "refused") refusals.noteWatch(path, end);
      return end;
    },
    close: () => api.close(),
  };
}

class RefusalLog {
  private readonly ports: Ports;
  /** By request and source of the refusal. */
  private readonly cases = new Map<string, Map<string, Case>>();
  private hasWorked = false;

  constructor(ports: Ports) {
    this.ports = ports;
  }

  note(request: Pick<KubeRequest, "verb" | "path" | "lane">, answer: KubeAnswer): void {
    const target = readTarget(request.verb, request.path);
    if (target === null) return;
    if (answer.kind === "ok") this.works(target);
    if (answer.kind === "refused") this.refused(target, answer, request.lane !== "cordon");
  }

  /** `end: null`: the watch works. */
  noteWatch(path: string, end: Extract<WatchEnd, { kind: "refused" }> | null): void {
    const target = readTarget("watch", path);
    if (target === null) return;
    if (end === null) this.works(target);
    else this.refused(target, { ...end, reason: "", causes: [] }, true);
  }

  private refused(
    target: Target,
    answer: Extract<KubeAnswer, { kind: "refused" }>,
    isTold: boolean,
  ): void {
    const admission = readAdmission(answer.message);
    const forbidden = admission === null ? explainForbidden(answer) : null;
    const reason = admission === null ? forbidden : formatAdmission(admission);
    if (reason === null) return;
    const now = this.ports.clock.monoMs();
    const by = admission === null ? "permission" : `${admission.by} ${admission.name}`;
    const one = this.caseOf(target.what, by, now);
    if (one === null) return;
    one.times += 1;
    one.lastMono = now;
    const place = admission === null ? target.namespace : `${target.namespace}/${target.name}`;
    if (one.places.size < PLACES_MAX) one.places.add(place);
    if (!isTold || now < one.nextMono) return;
    one.tellings += 1;
    one.nextMono = now + backoffMs(one.tellings, AGAIN_MS, AGAIN_MAX_MS);
    this.tell(target, one, { reason, admission, said: answer.message });
  }

  private tell(
    { what, isNode, namespace, name }: Target,
    { sinceMono, lastMono, times }: Case,
    { reason, admission, said }: { reason: string; admission: Admission | null; said: string },
  ): void {
    const object = namespace === "" ? name : `${namespace}/${name}`;
    const about = {
      ...(admission === null ? { permission: what } : { write: what, by: admission.name }),
      ...(isNode && name !== "" ? { kube_node: name } : {}),
      ...(isNode || object === "" ? {} : { object }),
    };
    const account = accountIn(said);
    const level = this.ports.isOptional && !this.hasWorked ? "warn" : "error";
    const isDenied = admission === null;
    const message = isDenied ? "Kubernetes denies a permission" : "admission refuses a write";
    this.ports.log(level, message, {
      ...about,
      ...(account === null ? {} : { account }),
      ...(times === 1 ? {} : { times, for_s: Math.round((lastMono - sinceMono) / 1_000) }),
      reason,
      advice: admission === null ? GRANT : PASS,
    });
  }

  /** A success ends the refusals of its own namespace or object. */
  private works(target: Target): void {
    this.hasWorked = true;
    const cases = this.cases.get(target.what);
    if (cases === undefined) return;
    const now = this.ports.clock.monoMs();
    for (const [by, one] of cases) {
      one.places.delete(target.namespace);
      one.places.delete(`${target.namespace}/${target.name}`);
      if (one.places.size > 0) continue;
      cases.delete(by);
      const forS = Math.round((now - one.sinceMono) / 1_000);
      const about = { permission: target.what, refused_by: by, times: one.times, for_s: forS };
      this.ports.log("info", "Kubernetes accepts it again", about);
    }
    if (cases.size === 0) this.cases.delete(target.what);
  }

  private caseOf(what: string, by: string, now: number): Case | null {
    const known = this.cases.get(what)?.get(by);
    if (known !== undefined && now - known.lastMono < FORGET_MS) return known;
    this.sweep(now);
    if (this.cases.size >= CASES_MAX) return null;
    const cases = this.cases.get(what) ?? new Map<string, Case>();
    this.cases.set(what, cases);
    if (cases.size >= CASES_MAX) return null;
    const times = { sinceMono: now, lastMono: now, nextMono: now, tellings: 0, times: 0 };
    const one: Case = { places: new Set(), ...times };
    cases.set(by, one);
    return one;
  }

  private sweep(now: number): void {
    for (const [what, cases] of this.cases) {
      for (const [by, one] of cases) if (now - one.lastMono >= FORGET_MS) cases.delete(by);
      if (cases.size === 0) this.cases.delete(what);
    }
  }
}

const PATH =
  /^\/(?:api|apis\/([^/]+))\/[^/]+\/(?:namespaces\/([^/]+)\/)?([^/]+)(?:\/([^/]+))?(?:\/([^/]+))?$/;

/** `null`: a self-review, such as `doctor` sends, or no resource. */
function readTarget(verb: string, path: string): Target | null {
  const found = PATH.exec(path);
  if (found === null) return null;
  const [, group = "", namespace = "", resource = "", name = "", sub = ""] = found;
  if (resource.startsWith("selfsubject")) return null;
  const whole = sub === "" ? resource : `${resource}/${sub}`;
  return {
    what: `${verb} ${whole}${group === "" ? "" : `.${group}`}`,
    namespace: decodeURIComponent(namespace),
    name: decodeURIComponent(name),
    isNode: resource === "nodes",
  };
}
