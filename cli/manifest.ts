/** Prints manifests: as they are written for people, and as a List for programs. */
import type { Context } from "./command.ts";
import { EXIT } from "./failure.ts";
import { show } from "./show.ts";

/** An RFC 1123 label, as Kubernetes requires for namespaces. */
const NAMESPACE = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
export const isNamespace = (text: string): boolean => NAMESPACE.test(text);

/** A DNS subdomain. */
export const isAccount = (name: string): boolean =>
  name.length <= 253 && /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(name);

export async function showManifests(context: Context, text: string): Promise<number> {
  const { parseAllDocuments } = await import("yaml");
  const items = parseAllDocuments(text).map((document): unknown => document.toJS());
  // The YAML text keeps its comments, which explain what to change.
  const format = context.format === "yaml" ? "table" : context.format;
  await show(
    { ...context, format },
    {
      data: format === "jsonl" ? items : { apiVersion: "v1", kind: "List", items },
      names: items.map(nameOf),
      human: () => text,
    },
  );
  return EXIT.done;
}

/** `Deployment/navarch-control-plane`. */
function nameOf(item: unknown): string {
  const { kind, metadata } = item as { kind: string; metadata: { name: string } };
  return `${kind}/${metadata.name}`;
}
