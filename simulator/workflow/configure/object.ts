/**
 * Namespaces, configmaps and priority classes of `Configure`. Each may be there already: what a
 * first run made, or an operator, is kept or brought to the wanted content.
 */
import { PATCH } from "../../../reconciler/kubernetes/api.ts";
import { type Fields, readObject } from "../../../reconciler/kubernetes/read-field.ts";
import { unbroken } from "../guard.ts";
import { TaskError } from "../task.ts";
import { wait } from "../wait.ts";
import { createObject, deleteObject, expired, settle, uidOf, type Writer } from "../write.ts";
import type { ConfigMapItem, NamespaceItem, PriorityClassItem } from "./param.ts";

const NAMESPACES = "/api/v1/namespaces";
const PRIORITY_CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses";
/** A namespace ends within seconds once it is empty. */
const LOOK_MS = 500;

const at = (collection: string, name: string): string =>
  `${collection}/${encodeURIComponent(name)}`;

export async function configureNamespace(
  writer: Writer,
  { name, op }: NamespaceItem,
  deadlineMs: number,
): Promise<void> {
  const what = `namespace ${name}`;
  if (op === "delete") return removeIfThere(writer, at(NAMESPACES, name), what, deadlineMs);
  const body = { apiVersion: "v1", kind: "Namespace", metadata: { name } };
  for (;;) {
    const created = await createObject(
      writer,
      { collection: NAMESPACES, name, what, body },
      deadlineMs,
    );
    if (created.kind === "refused") {
      throw new TaskError(`failed to create ${what}: ${created.message}`);
    }
    // The one that an earlier task deleted takes nothing any more: wait for its end.
    if (!isLeaving(created.object)) return;
    if (writer.clock.monoMs() + LOOK_MS >= deadlineMs) {
      throw expired(`creating ${what}`, "it is still being deleted");
    }
    await wait(writer, LOOK_MS);
  }
}

export async function configureConfigMap(
  writer: Writer,
  { name, namespace, data, op }: ConfigMapItem,
  deadlineMs: number,
): Promise<void> {
  const what = `configmap ${namespace}/${name}`;
  const collection = `${at(NAMESPACES, namespace)}/configmaps`;
  const path = at(collection, name);
  if (op === "delete") return removeIfThere(writer, path, what, deadlineMs);
  const body = { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace }, data };
  const created = await createObject(writer, { collection, name, what, body }, deadlineMs);
  if (created.kind === "refused") {
    throw new TaskError(`failed to create ${what}: ${created.message}`);
  }
  if (isSameData(readObject(created.object["data"]), data)) return;
  // `add` replaces the whole map, so that keys of before are gone.
  const patch = [{ op: "add", path: "/data", value: data }];
  const contentType = PATCH.json;
  const request = { verb: "patch", path, contentType, body: patch, lane: "status" } as const;
  const answer = await settle(writer, `updating ${what}`, request, deadlineMs);
  if (answer.kind === "ok") return;
  throw new TaskError(`failed to update ${what}: ${answer.message}`);
}

const isSameData = (live: Fields, wanted: Readonly<Record<string, string>>): boolean =>
  Object.keys(live).length === Object.keys(wanted).length &&
  Object.entries(wanted).every(([key, value]) => live[key] === value);

/**
 * The API forbids changing a value, so another one means deleting the class and creating it with
 * its other fields. A class that was there before is not removed by `-cleanup`.
 */
export async function configurePriorityClass(
  writer: Writer & { say: (level: "warning", line: string) => void },
  item: PriorityClassItem,
  deadlineMs: number,
): Promise<void> {
  const { name } = item;
  const what = `PriorityClass ${name}`;
  const path = at(PRIORITY_CLASSES, name);
  if (item.op === "delete") return removeIfThere(writer, path, what, deadlineMs);
  const own = { apiVersion: "scheduling.k8s.io/v1", kind: "PriorityClass", value: item.value };
  const fresh = { collection: PRIORITY_CLASSES, name, what };
  let isNoted = true;
  let body: Fields = { ...own, metadata: { name } };
  for (;;) {
    const created = await createObject(writer, { ...fresh, body, isNoted }, deadlineMs);
    if (created.kind === "refused") {
      throw new TaskError(`failed to create ${what}: ${created.message}`);
    }
    const { object } = created;
    const { value, globalDefault, description, preemptionPolicy, metadata } = object;
    if (value === item.value) return;
    const { labels, annotations } = readObject(metadata);
    const kept = { globalDefault, description, preemptionPolicy };
    body = { ...own, ...kept, metadata: { name, labels, annotations } };
    if (created.kind === "exists") {
      isNoted = false;
      const was = `${what} had the value ${String(value)}`;
      writer.say("warning", `${was}: it is replaced by one with ${item.value}, which stays`);
    }
    // An interrupt between the two would leave the cluster without a class that it had.
    await unbroken(writer, async (inner) => {
      await deleteObject(inner, { path, uid: uidOf(object), what }, deadlineMs);
      await createObject(inner, { ...fresh, body, isNoted }, deadlineMs);
    });
  }
}

/** One that is not there counts as deleted. */
async function removeIfThere(
  writer: Writer,
  path: string,
  what: string,
  deadlineMs: number,
): Promise<void> {
  const request = { verb: "get", path, lane: "read" } as const;
  const answer = await settle(writer, `reading ${what}`, request, deadlineMs);
  if (answer.kind === "refused") {
    if (answer.status === 404) return;
    throw new TaskError(`failed to delete ${what}: ${answer.message}`);
  }
  await deleteObject(writer, { path, uid: uidOf(answer.body), what }, deadlineMs);
}

const isLeaving = (object: Fields): boolean => {
  const { deletionTimestamp } = readObject(object["metadata"]);
  return deletionTimestamp !== undefined && deletionTimestamp !== null;
};
