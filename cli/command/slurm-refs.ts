/**
 * `navarch slurm refs`: proves that every reference in a folder of manifests is closed.
 */
import { judgeReferences } from "../../deploy/slurm/reference.ts";
import type { Given, KubeObject } from "../../deploy/slurm/reference-set.ts";
import type { Command } from "../command.ts";
import { EXIT, usage } from "../failure.ts";
import { textsFlag } from "../flag.ts";
import type { Read } from "../host-flag.ts";
import { readFolder } from "../manifest-folder.ts";
import { show } from "../show.ts";

/** Created by `munge-key`, and in no folder on purpose. */
const MUNGE: Given = { kind: "secret", name: "slurm-munge-key", keys: ["munge.key"] };

export const slurmRefs: Command = {
  name: ["slurm", "refs"],
  usage: "<dir>",
  summary: "check that manifests refer only to objects in their folder",
  examples: ["navarch slurm refs k8s-manifests/hpc-slurm"],
  more:
    "Reads the files that kubectl apply -f DIR reads. Checks Secrets, ConfigMaps, claims,\n" +
    "Services, their keys and ports, and the hosts in slurm.conf and slurmdbd.conf; refuses\n" +
    "hostPath, placeholder text, and a claim that no pod or two pods use. Exits with 1 and\n" +
    "names what is missing. The Secret slurm-munge-key counts as present.",
  flags: [textsFlag("given", "KIND/NAME[:KEY,…]", "an object that exists outside the folder")],
  words: { min: 1, max: 1 },
  reach: "offline",
  async run(context) {
    const [folder = ""] = context.words;
    const given: Given[] = [MUNGE];
    for (const text of context.flags.texts("given")) {
      const one = readGiven(text);
      if (!one.ok) return one;
      given.push(one.value);
    }
    const objects = await readObjects(folder);
    if (!objects.ok) return objects;
    const report = judgeReferences(objects.value, given);
    const { dangling, references } = report;
    const count = `${references} references of ${report.objects} objects`;
    await show(context, {
      data: report,
      names: dangling,
      human: () =>
        dangling.length === 0
          ? `${count}: all closed\n`
          : `${count}: ${dangling.length} open\n${dangling.map((one) => `  ${one}\n`).join("")}`,
    });
    return dangling.length === 0 ? EXIT.done : EXIT.failed;
  },
};

function readGiven(text: string): Read<Given> {
  const [, kind = "", name = "", keys = ""] = /^([a-z]+)\/([\w.-]+)(?::(.+))?$/i.exec(text) ?? [];
  if (kind === "") return usage(`--given ${text}: expected KIND/NAME, as secret/registry`);
  return { ok: true, value: { kind, name, keys: keys === "" ? [] : keys.split(",") } };
}

async function readObjects(folder: string): Promise<Read<KubeObject[]>> {
  const { parseAllDocuments } = await import("yaml");
  const files = readFolder(folder);
  if (!files.ok) return files;
  const objects: KubeObject[] = [];
  for (const { name, text } of files.value) {
    for (const document of parseAllDocuments(text)) {
      const [problem] = document.errors;
      if (problem !== undefined) return usage(`${folder}/${name}: ${problem.message}`);
      const value: unknown = document.toJS();
      if (value === null) continue;
      if (!isObject(value)) return usage(`${folder}/${name}: a document is no Kubernetes object`);
      objects.push(...itemsOf(value));
    }
  }
  return { ok: true, value: objects };
}

export function isObject(value: unknown): value is KubeObject {
  if (typeof value !== "object" || value === null || !("kind" in value)) return false;
  if (value.kind === "List") return true;
  if (typeof value.kind !== "string" || !("metadata" in value)) return false;
  const { metadata } = value;
  if (typeof metadata !== "object" || metadata === null || !("name" in metadata)) return false;
  const namespace = "namespace" in metadata ? metadata.namespace : undefined;
  return typeof metadata.name === "string" && ["string", "undefined"].includes(typeof namespace);
}

function itemsOf(object: KubeObject): KubeObject[] {
  const { items } = object;
  return object.kind === "List" && Array.isArray(items) ? items.filter(isObject) : [object];
}
