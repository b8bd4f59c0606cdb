/**
 * What people and their tools do to a cluster beside the product, with the same requests that
 * kubectl sends. None of it asks for the product's permissions or passes through its faults.
 */
import { PATCH } from "../../reconciler/kubernetes/api.ts";
import type { KubeAnswer } from "../../reconciler/kubernetes/api.ts";
import { deleteObject, endObject } from "./delete.ts";
import { metaOf, objectOf, uidOf, withMeta } from "./json.ts";
import type { KubeObject } from "./json.ts";
import { keyOf, resourceOf } from "./resource.ts";
import type { Target } from "./resource.ts";
import { note } from "./world.ts";
import type { Hand, World } from "./world.ts";
import { patchObject } from "./write.ts";

/** The server names a writer after its user agent where it names no field manager. */
const KUBECTL: Hand = { by: "person", manager: "kubectl" };

/** Every one throws if the object is not there: a mistake of the test. */
export type Person = {
  /** Sends nothing if the node is cordoned already. */
  cordon(node: string): void;
  uncordon(node: string): void;
  /** `null` removes one. */
  annotate(plural: string, namespace: string, name: string, change: TextChange): void;
  label(plural: string, namespace: string, name: string, change: TextChange): void;
  taint(node: string, taint: { key: string; value?: string; effect: string }): void;
  /** By key, whatever the effect. */
  untaint(node: string, key: string): void;
  /** With the object's own grace period. */
  remove(plural: string, namespace: string, name: string): void;
  /** The Node under the same name with a new UID, as after a new registration of its kubelet. */
  recreate(node: string): KubeObject;
  /** As tools do that put an object back without its managed fields. */
  wipeManagedFields(node: string): void;
  /** A merge patch under another name, on the object or on its status. */
  edit(
    plural: string,
    namespace: string,
    name: string,
    patch: KubeObject,
    how?: { manager?: string; sub?: "status" },
  ): void;
};

export type TextChange = Readonly<Record<string, string | null>>;

export function openPerson(world: World): Person {
  const { store } = world;
  const find = (plural: string, namespace: string, name: string): KubeObject => {
    const found = store.get(resourceOf(plural), namespace, name);
    if (found === undefined) throw new Error(`no ${plural} ${keyOf(namespace, name)}`);
    return found;
  };
  const targetOf = (plural: string, namespace: string, name: string, sub = ""): Target => {
    find(plural, namespace, name);
    return { resource: resourceOf(plural), namespace, name, sub };
  };
  const expectOk = (answer: KubeAnswer): void => {
    if (answer.kind !== "ok") throw new Error(`a person was refused: ${answer.message}`);
  };
  const merge = (target: Target, body: KubeObject, hand: Hand): void =>
    expectOk(patchObject(world, target, { contentType: PATCH.merge, body }, hand));
  const setUnschedulable = (node: string, value: true | null): void => {
    const target = targetOf("nodes", "", node);
    const is = objectOf(find("nodes", "", node)["spec"])["unschedulable"] === true;
    if (is === (value === true)) return;
    merge(target, { spec: { unschedulable: value } }, KUBECTL);
  };
  const setTaints = (node: string, change: (taints: unknown[]) => unknown[]): void => {
    const taints = objectOf(find("nodes", "", node)["spec"])["taints"];
    const body = { spec: { taints: change(Array.isArray(taints) ? taints : []) } };
    merge(targetOf("nodes", "", node), body, KUBECTL);
  };

  return {
    cordon: (node) => setUnschedulable(node, true),
    uncordon: (node) => setUnschedulable(node, null),
    annotate(plural, namespace, name, change) {
      const body = { metadata: { annotations: { ...change } } };
      merge(targetOf(plural, namespace, name), body, KUBECTL);
    },
    label(plural, namespace, name, change) {
      const body = { metadata: { labels: { ...change } } };
      merge(targetOf(plural, namespace, name), body, KUBECTL);
    },
    taint(node, taint) {
      setTaints(node, (taints) => [
        ...taints.filter((old) => !isTaint(old, taint.key, taint.effect)),
        taint,
      ]);
    },
    untaint: (node, key) => setTaints(node, (taints) => taints.filter((old) => !isTaint(old, key))),
    remove(plural, namespace, name) {
      expectOk(deleteObject(world, targetOf(plural, namespace, name), {}, {}, KUBECTL));
    },
    recreate(node) {
      const nodes = resourceOf("nodes");
      const old = find("nodes", "", node);
      endObject(world, nodes, withMeta(old, { finalizers: undefined }), null, KUBECTL);
      const { name, labels } = metaOf(old);
      const { providerID } = objectOf(old["spec"]);
      const spec = providerID === undefined ? {} : { providerID };
      const fresh = { metadata: { name, ...(labels === undefined ? {} : { labels }) }, spec };
      const made = store.add(nodes, { ...fresh, status: old["status"] });
      note(world, { by: "cluster", manager: "kubelet" }, "create", nodes, "", made);
      if (uidOf(made) === uidOf(old)) throw new Error("a new object has a UID of its own");
      return made;
    },
    wipeManagedFields(node) {
      merge(targetOf("nodes", "", node), { metadata: { managedFields: [{}] } }, KUBECTL);
    },
    edit(plural, namespace, name, patch, { manager = "editor", sub } = {}) {
      merge(targetOf(plural, namespace, name, sub), patch, { by: "person", manager });
    },
  };
}

function isTaint(raw: unknown, key: string, effect?: string): boolean {
  const taint = objectOf(raw);
  return taint["key"] === key && (effect === undefined || taint["effect"] === effect);
}
