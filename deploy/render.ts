/**
 * Renders the plain manifests for another namespace, image version or several replicas. Edits
 * the text, so that its comments stay. Throws if a line to edit is missing, which is a bug. Pure.
 */
import { MANIFESTS, REPLICATED } from "./bundle.ts";
import type { Manifest } from "./bundle.ts";

export type RenderOptions = {
  /** A DNS label; `null` = as written. */
  namespace: string | null;
  /** Tag of both images; `null` = as written, this product's version. */
  imageTag: string | null;
  /** URL of a libSQL server for two replicas; `null` = one replica. */
  database: string | null;
};

const NAMESPACE = "navarch";

/** All documents as one stream for `kubectl apply -f -`. */
export function renderManifests(options: RenderOptions): string {
  const { database } = options;
  const shared = MANIFESTS.filter(({ name }) => name !== "30-state.yaml");
  const chosen = database === null ? MANIFESTS : [...shared, ...REPLICATED];
  const texts = chosen.map((manifest) => {
    const text = database === null ? manifest.text : replicate(manifest, database);
    return place(retag(text, options.imageTag), options.namespace).trimEnd();
  });
  return `${texts.join("\n---\n")}\n`;
}

/** Default database URL of `--ha`: a Service in the product's namespace. */
export function databaseDefault(namespace: string | null): string {
  return `http://libsql.${namespace ?? NAMESPACE}.svc.cluster.local:8080`;
}

function replicate({ name, text }: Manifest, database: string): string {
  if (name === "21-config.yaml") {
    return swap(text, [["state_path: /var/lib/navarch/navarch.db", `state_path: ${database}`]]);
  }
  if (name !== "31-control-plane.yaml") return text;
  return swap(text, [
    ["replicas: 1", "replicas: 2"],
    ["type: Recreate", "type: RollingUpdate"],
    [
      "# One volume, one process: a rolling update's new pod would wait for the old one's lock.",
      "# Replicas share a libSQL server; the one that holds its lease acts.",
    ],
    ["persistentVolumeClaim:\n          claimName: navarch-state", "emptyDir: {}"],
  ]);
}

function swap(text: string, pairs: readonly (readonly [string, string])[]): string {
  let swapped = text;
  for (const [from, to] of pairs) {
    if (swapped.split(from).length !== 2) throw new Error(`expected once in a manifest: ${from}`);
    // A function, because `$` in a replacement string has a special meaning.
    swapped = swapped.replace(from, () => to);
  }
  return swapped;
}

function retag(text: string, tag: string | null): string {
  if (tag === null) return text;
  return text.replace(/^( *image: navarch\/[a-z-]+:).+$/gm, (_line, head: string) => head + tag);
}

/** Replaces the namespace in objects, subjects and DNS names. */
function place(text: string, namespace: string | null): string {
  if (namespace === null) return text;
  return (
    text
      .replace(/^( *namespace: )navarch$/gm, (_line, head: string) => head + namespace)
      .replace(/(kind: Namespace\nmetadata:\n {2}name: )navarch$/m, (_all, head: string) => {
        return head + namespace;
      })
      // Cluster-wide objects are called NAME.NAMESPACE.RELEASE, with the release navarch.
      .replace(
        /^( *(?:name|policyName): navarch-[a-z-]+[.])navarch[.]navarch$/gm,
        (_line, head) => {
          return `${String(head)}${namespace}.navarch`;
        },
      )
      .replaceAll(".navarch.svc.", `.${namespace}.svc.`)
      .replaceAll("kubectl -n navarch ", `kubectl -n ${namespace} `)
  );
}
