/** Reads and prints `provisioners`: clusters whose objects are pools. */
import { fillTable } from "../../schema/config/field.ts";
import type { Provisioner } from "../../schema/config.ts";
import { GKE, POOLS_FROM_KUBERNETES } from "../../schema/config/provisioner.ts";
import type { Section } from "./section.ts";
import { formatSection, readMapping, readPart } from "./table.ts";
import { readText, readTexts } from "./value.ts";

/** One cluster: the fleet keeps the workers of one API server, whose names are unique there. */
const MAX = 1;
/** A label of DNS, which names of namespaces are. */
const NAMESPACE = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

export function readProvisioners(root: Section): Provisioner[] {
  if (!root.has("provisioners")) return [];
  return root.list("provisioners", "provisioner", MAX).flatMap((entry) => {
    const section = entry.map("kubernetes");
    if (!entry.has("kubernetes")) entry.missing("kubernetes", "write kubernetes: {namespace: …}");
    entry.finish();
    return section.given ? [readKubernetes(section)] : [];
  });
}

function readKubernetes(section: Section): Provisioner {
  const part = readPart(section, POOLS_FROM_KUBERNETES);
  const namespaces = readNamespaces(section);
  const gke = section.has("gke") ? readMapping(section.map("gke"), GKE) : null;
  if (gke !== null && (part.kubeconfig ?? part.context ?? null) !== null) {
    const key = part.kubeconfig === null ? "context" : "kubeconfig";
    section.fail(key, "conflict", "gke names the cluster already", "remove one of the two");
  }
  section.finish();
  const filled = fillTable(POOLS_FROM_KUBERNETES, part);
  return { ...filled, namespaces, gke: gke === null ? null : fillTable(GKE, gke) };
}

function readNamespaces(section: Section): string[] {
  const given = section.read("namespace", (problems, tree) => {
    if (tree.kind === "list") return readTexts(problems, tree);
    // As in the samples: an empty namespace is all of them.
    if (tree.kind === "scalar" && tree.value === "") return [];
    const one = readText(problems, tree);
    return one === null ? null : [one];
  });
  const names = (given ?? []).filter((one) => one !== "");
  const bad = names.find((one) => !NAMESPACE.test(one));
  if (bad !== undefined) {
    section.fail("namespace", "name", `${JSON.stringify(bad)} is no name of a namespace`);
  }
  return [...new Set(names)];
}

/** In the keys of a file. */
export function formatProvisioners(provisioners: readonly Provisioner[]): unknown {
  if (provisioners.length === 0) return null;
  return provisioners.map((one) => {
    const [first = "", ...more] = one.namespaces;
    const namespace = more.length === 0 ? first : one.namespaces;
    const gke = one.gke && formatSection(GKE, one.gke, "list");
    return { kubernetes: formatSection(POOLS_FROM_KUBERNETES, one, "list", { namespace, gke }) };
  });
}
