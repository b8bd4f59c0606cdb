/**
 * Finds the resource that serves a kind: one request to the group and version that the manifest
 * names, so that a dead API of another group does not matter. A failure says what is missing.
 */
import { nearest } from "../../schema/nearest.ts";
import { readObject } from "../../reconciler/kubernetes/read-field.ts";
import { patience, readAt } from "./object-call.ts";
import type { Resource } from "./state.ts";
import { TaskError, type Run } from "./task.ts";
import { formatKind, type GroupVersionKind } from "./template-file.ts";

type Listed = { name: string; kind: string; isNamespaced: boolean };

/** Throws `TaskError`. */
export async function findResource(run: Run, gvk: GroupVersionKind): Promise<Resource> {
  const { group, version, kind } = gvk;
  const fail = (why: string) =>
    new TaskError(`failed to find resource for ${formatKind(gvk)}: ${why}`);
  const root = group === "" ? "/api" : `/apis/${encodeURIComponent(group)}`;
  const path = `${root}/${encodeURIComponent(version)}`;
  const answer = await readAt(run, path, patience(run)).catch((cause: unknown) => {
    throw cause instanceof TaskError && !run.signal.aborted ? fail(cause.message) : cause;
  });
  if (answer.kind === "refused") {
    if (answer.status !== 404) throw fail(answer.message);
    throw fail(await whyNoVersion(run, gvk));
  }
  const listed = readListed(answer.body);
  const found = listed.find((one) => one.kind === kind && !one.name.includes("/"));
  if (found !== undefined) {
    const hasStatus = listed.some(({ name }) => name === `${found.name}/status`);
    const { name: resource, isNamespaced } = found;
    return { group, version, resource, kind, isNamespaced, hasStatus };
  }
  const whole = listed.filter((one) => !one.name.includes("/"));
  const close = nearest(kind, [...new Set(whole.map((one) => one.kind))]);
  const where = group === "" ? version : `${group}/${version}`;
  if (close !== null) throw fail(`${where} has no kind ${kind}; did you mean ${close}?`);
  throw fail(`${where} has no kind ${kind}; ${advice(gvk)}`);
}

const advice = ({ group, kind }: GroupVersionKind): string =>
  group.includes(".")
    ? `install the CustomResourceDefinition of kind ${kind} in group ${group}`
    : "check apiVersion and kind";

function readListed(body: unknown): Listed[] {
  const { resources } = readObject<{ resources: unknown[] }>(body);
  if (!Array.isArray(resources)) return [];
  return resources.flatMap((one) => {
    const { name, kind, namespaced } = readObject<{
      name: string;
      kind: string;
      namespaced: boolean;
    }>(one);
    if (typeof name !== "string" || typeof kind !== "string") return [];
    return [{ name, kind, isNamespaced: namespaced === true }];
  });
}

/** The group is not served, or at other versions. */
async function whyNoVersion(run: Run, gvk: GroupVersionKind): Promise<string> {
  const { group, version } = gvk;
  if (group === "") return `the cluster does not serve version ${version} of the core group`;
  const path = `/apis/${encodeURIComponent(group)}`;
  const answer = await readAt(run, path, patience(run));
  if (answer.kind === "refused") {
    return `the cluster has no API group ${group}; ${advice(gvk)}`;
  }
  const { versions } = readObject<{ versions: unknown[] }>(answer.body);
  const served = (Array.isArray(versions) ? versions : []).flatMap((one) => {
    const { version: name } = readObject<{ version: string }>(one);
    return typeof name === "string" ? [name] : [];
  });
  const at = served.join(", ");
  return `the cluster serves ${group} at ${at}, not at ${version}; change apiVersion`;
}
