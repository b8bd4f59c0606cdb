/**
 * The simulated API server: authorises a request and passes it to the part that answers it. Faults
 * are injected before a request arrives here; the objects are in `World`.
 */
import type { KubeAnswer, KubeRequest } from "../../reconciler/kubernetes/api.ts";
import { deleteObject } from "./delete.ts";
import { CONFLICT_HOLD_MS, evictPod } from "./evict.ts";
import { nameOf, objectOf, textOf } from "./json.ts";
import { Lists } from "./read.ts";
import { parsePath, resourceOf } from "./resource.ts";
import type { Target } from "./resource.ts";
import * as say from "./status.ts";
import { reviewToken } from "./token.ts";
import type { Hand, World } from "./world.ts";
import { createObject, patchObject } from "./write.ts";
import { unreachable } from "../../schema/unreachable.ts";

/** Field manager of a writer that names none: the first word of its user agent. */
const AGENT = "navarch";

const NAMESPACES = resourceOf("namespaces");

type Answer = KubeAnswer | Promise<KubeAnswer>;

export class Server {
  /** Requests that arrived: `list pods`, `watch nodes`, `create pods/eviction`. */
  readonly asked = new Map<string, number>();
  readonly lists: Lists;
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
    this.lists = new Lists(world);
  }

  /** Counts the request; returns 403 if the account lacks the permission. */
  gate(verb: string, { resource, sub, name, namespace }: Target): say.Refused | null {
    const { kind, group } = resource;
    // Two API groups serve events, and an account may lack permission for one of them.
    const plural = kind === "Event" && group === "" ? "core/events" : resource.plural;
    const what = `${verb} ${plural}${sub === "" ? "" : `/${sub}`}`;
    this.asked.set(what, (this.asked.get(what) ?? 0) + 1);
    const isServed = kind !== "";
    if (isServed && !this.#world.denied.has(what)) return null;
    return say.forbidden(this.#world.user, verb, resource, sub, name, namespace);
  }

  /** Answers at once, except for an eviction in conflict, which a real server also delays. */
  handle(request: KubeRequest): Answer {
    if (request.path.split("?")[0] === "/version") return say.ok({ major: "1", minor: "37" });
    const target = parsePath(request.path);
    if (target === null) return say.pathNotFound();
    const refusal = this.gate(request.verb, target);
    if (refusal !== null) return refusal;
    const isRead = request.verb === "get" || request.verb === "list";
    const refused = isRead ? null : this.#world.admission(request);
    if (refused !== null) return refused;
    const { resource, namespace, name } = target;
    const query = request.query ?? {};
    const hand: Hand = { by: "api", manager: query["fieldManager"] ?? AGENT };
    switch (request.verb) {
      case "get": {
        const found = this.#world.store.get(resource, namespace, name);
        return found === undefined ? say.notFound(resource, name) : say.ok(found);
      }
      case "list":
        return this.lists.list(target, query);
      case "patch":
        return patchObject(this.#world, target, request, hand);
      case "delete":
        return deleteObject(this.#world, target, request.body, query, hand);
      case "create":
        return this.#create(target, request.body, hand, query["dryRun"] === "All");
      default:
        return unreachable(request.verb);
    }
  }

  #create(target: Target, body: unknown, hand: Hand, isDry: boolean): Answer {
    const { resource, namespace, name, sub } = target;
    if (resource.kind === "SelfSubjectAccessReview") return this.#review(body);
    if (resource.kind === "TokenReview") return reviewToken(this.#world, body);
    if (namespace !== "") {
      if (this.#world.store.get(NAMESPACES, "", namespace) === undefined) {
        return say.notFound(NAMESPACES, namespace);
      }
      if (this.#world.terminating.has(namespace)) {
        const about = name === "" ? nameOf(objectOf(body)) : name;
        return say.namespaceTerminating(resource, about, namespace);
      }
    }
    if (sub === "eviction") return this.#evict(target, body, hand);
    return createObject(this.#world, target, body, hand, isDry);
  }

  #evict(target: Target, body: unknown, hand: Hand): Answer {
    const answer = evictPod(this.#world, target, body, hand, false);
    if (answer !== "again") return answer;
    const { promise, resolve } = Promise.withResolvers<KubeAnswer>();
    this.#world.clock.after(CONFLICT_HOLD_MS, () => {
      const last = evictPod(this.#world, target, body, hand, true);
      if (last === "again") throw new Error("the last try has an answer");
      resolve(last);
    });
    return promise;
  }

  #review(body: unknown): KubeAnswer {
    const spec = objectOf(objectOf(body)["spec"]);
    const { verb, resource, subresource } = objectOf(spec["resourceAttributes"]);
    const sub = textOf(subresource) === "" ? "" : `/${textOf(subresource)}`;
    const allowed = !this.#world.denied.has(`${textOf(verb)} ${textOf(resource)}${sub}`);
    return say.ok({ ...objectOf(body), status: { allowed } }, 201);
  }
}
