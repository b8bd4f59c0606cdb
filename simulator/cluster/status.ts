/**
 * Refusals of the API server, with the wording of kube-apiserver 1.37.1: controllers distinguish
 * answers by status, reason and cause, and show the message.
 */
import type { Cause, KubeAnswer } from "../../reconciler/kubernetes/api.ts";
import type { Resource } from "./resource.ts";

export type Refused = Extract<KubeAnswer, { kind: "refused" }>;
export type Ok = Extract<KubeAnswer, { kind: "ok" }>;

/** `nodes`, `poddisruptionbudgets.policy`. */
export const groupResource = ({ plural, group }: Resource): string =>
  group === "" ? plural : `${plural}.${group}`;

export function refused(
  status: number,
  reason: string,
  message: string,
  more: { causes?: Cause[]; retryAfterMs?: number } = {},
): Refused {
  const { causes = [], retryAfterMs = null } = more;
  return { kind: "refused", status, reason, message, causes, retryAfterMs };
}

export const badRequest = (message: string): Refused => refused(400, "BadRequest", message);

export const notFound = (resource: Resource, name: string): Refused =>
  refused(404, "NotFound", `${groupResource(resource)} "${name}" not found`);

export const pathNotFound = (): Refused => refused(404, "", "404 page not found");

export const conflict = (what: string, name: string, why: string): Refused =>
  refused(409, "Conflict", `Operation cannot be fulfilled on ${what} "${name}": ${why}`);

export const staleVersion = (resource: Resource, name: string): Refused =>
  conflict(
    groupResource(resource),
    name,
    "the object has been modified; please apply your changes to the latest version and try again",
  );

/** Of a delete or an eviction. The kind stands where the resource stands otherwise. */
export const preconditionFailed = (
  kind: string,
  name: string,
  what: "UID" | "ResourceVersion",
  wanted: string,
  found: string,
): Refused =>
  conflict(
    kind,
    name,
    `the ${what} in the precondition (${wanted}) does not match the ${what} in record ` +
      `(${found}). The object might have been ${
        what === "UID" ? "deleted and then recreated" : "modified"
      }`,
  );

export const alreadyExists = (resource: Resource, name: string): Refused =>
  refused(409, "AlreadyExists", `${groupResource(resource)} "${name}" already exists`);

/** One field at fault. `detail` as the server prints it: `Required value`. */
export function invalid(
  kind: string,
  name: string,
  causes: { reason: string; field: string; detail: string }[],
): Refused {
  const lines = causes.map(({ field, detail }) => `${field}: ${detail}`);
  const told = lines.length === 1 ? (lines[0] ?? "") : `[${lines.join(", ")}]`;
  return refused(422, "Invalid", `${kind} "${name}" is invalid: ${told}`, {
    causes: causes.map(({ reason, field, detail }) => ({ reason, message: detail, field })),
  });
}

export const uidImmutable = (kind: string, name: string, uid: string): Refused =>
  invalid(kind, name, [
    {
      reason: "FieldValueInvalid",
      field: "metadata.uid",
      detail: `Invalid value: ${JSON.stringify(uid)}: field is immutable`,
    },
  ]);

/** A JSON patch that does not apply, whatever the operation was. */
export const patchFailed = (): Refused =>
  refused(422, "Invalid", "the server rejected our request due to an error in our request");

/** RBAC. `resource` may carry a subresource: `pods/eviction`. */
export function forbidden(
  user: string,
  verb: string,
  resource: Resource,
  sub: string,
  name: string,
  namespace: string,
): Refused {
  const what = `${groupResource(resource)}${name === "" ? "" : ` "${name}"`}`;
  const full = sub === "" ? resource.plural : `${resource.plural}/${sub}`;
  const where = namespace === "" ? "at the cluster scope" : `in the namespace "${namespace}"`;
  const message =
    `${what} is forbidden: User "${user}" cannot ${verb} resource "${full}" ` +
    `in API group "${resource.group}" ${where}`;
  return refused(403, "Forbidden", message);
}

export function namespaceTerminating(resource: Resource, name: string, namespace: string): Refused {
  const why =
    `unable to create new content in namespace ${namespace} ` + "because it is being terminated";
  const cause = {
    reason: "NamespaceTerminating",
    message: `namespace ${namespace} is being terminated`,
    field: "metadata.namespace",
  };
  const message = `${groupResource(resource)} "${name}" is forbidden: ${why}`;
  return refused(403, "Forbidden", message, { causes: [cause] });
}

/** A list or its continuation at a version that is compacted away. */
export const expired = (): Refused =>
  refused(
    410,
    "Expired",
    "The provided continue parameter is too old to display a consistent list result. You can " +
      "start a new list without the continue parameter, or use the continue token in this " +
      "response to retrieve the remainder of the results.",
  );

/** A version of another server, or of this one before its data was put back. */
export function versionTooLarge(asked: number, current: number): Refused {
  const message = `Timeout: Too large resource version: ${asked}, current: ${current}`;
  const told = "Too large resource version";
  const causes = [{ reason: "ResourceVersionTooLarge", message: told, field: "" }];
  return refused(504, "Timeout", message, { causes, retryAfterMs: 1_000 });
}

export const ok = (body: unknown, status = 200): Ok => ({ kind: "ok", status, body });

export const success = (status: number, details?: object): Ok =>
  ok({ kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", ...details }, status);
