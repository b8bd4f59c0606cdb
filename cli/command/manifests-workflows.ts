/**
 * `navarch manifests workflows`: prints what runs workflows inside a cluster, from this program.
 */
import {
  type Allowed,
  renderWorkflow,
  WORKFLOW_PARTS,
  type WorkflowPart,
} from "../../deploy/workflow.ts";
import type { Command } from "../command.ts";
import { type Failure, unknownName, usage } from "../failure.ts";
import { switchFlag, textFlag, textsFlag } from "../flag.ts";
import { isNamespace, showManifests } from "../manifest.ts";

const DEFAULT_PARTS: readonly WorkflowPart[] = ["stages", "rbac", "job"];
/** A DNS subdomain; `core` stands for the empty group. */
const GROUP = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;
const RESOURCE = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;
const IMAGE = /^[\w.:@/-]{1,512}$/;
/** Kinds that give their holder more than themselves. */
const STRONG: readonly RegExp[] = [
  /^core\/(secrets|serviceaccounts)$/,
  /^rbac\.authorization\.k8s\.io\//,
  /^(admissionregistration|certificates|apiregistration)\.k8s\.io\//,
];

export const manifestsWorkflows: Command = {
  name: ["manifests", "workflows"],
  usage: "",
  summary: "print the manifests that run workflows in a cluster",
  examples: [
    "navarch manifests workflows --allow batch/jobs | kubectl apply -f -",
    "navarch manifests workflows --part exporter --part service-monitor",
  ],
  more:
    "Prints KWOK stages, an account with its role, and a Job that runs one workflow. The role\n" +
    "is what the tasks need; --allow adds kinds that workflows submit, and the Job batch/jobs.\n" +
    "The server takes workflows over HTTP without a login; the exporter serves what pods\n" +
    "request of each node.",
  flags: [
    {
      ...textsFlag("part", "PART", "print only this: " + WORKFLOW_PARTS.join(", ")),
      values: WORKFLOW_PARTS,
    },
    textsFlag("allow", "GROUP/RESOURCE,…", "kinds to submit; core is the core group"),
    switchFlag("cluster-admin", "bind the account to cluster-admin instead of a role"),
    textFlag("namespace", "NAME", "namespace to install in (default default)"),
    textFlag("image", "IMAGE", "image with the program (default: this version's)"),
  ],
  words: { min: 0, max: 0 },
  reach: "offline",
  async run(context) {
    const { flags, world } = context;
    const namespace = flags.text("namespace");
    if (namespace !== null && !isNamespace(namespace)) {
      return usage(`--namespace ${namespace}: expected lower-case letters, digits and dashes`);
    }
    const image = flags.text("image");
    if (image !== null && !IMAGE.test(image)) {
      return usage(`--image ${image}: expected NAME:TAG or NAME@DIGEST`);
    }
    const parts: WorkflowPart[] = [];
    for (const given of flags.texts("part")) {
      const part = WORKFLOW_PARTS.find((one) => one === given);
      if (part === undefined) return unknownName("part", given, WORKFLOW_PARTS);
      if (!parts.includes(part)) parts.push(part);
    }
    const isAdmin = flags.on("cluster-admin");
    const allowed = readAllowed(flags.texts("allow"));
    if ("exit" in allowed) return allowed;
    if (isAdmin && allowed.length > 0) return usage("--cluster-admin already allows every kind");
    for (const { group, resource } of allowed) {
      const kind = `${group || "core"}/${resource}`;
      if (!STRONG.some((strong) => strong.test(kind))) continue;
      world.err(`note: whoever runs a workflow may gain further rights by ${kind}\n`);
    }
    const chosen = parts.length === 0 ? DEFAULT_PARTS : parts;
    // The workflow of the Job submits one.
    if (chosen.includes("job")) addOnce(allowed, { group: "batch", resource: "jobs" });
    const text = renderWorkflow({ parts: chosen, namespace, image, allowed, isAdmin });
    return showManifests(context, text);
  },
};

function addOnce(allowed: Allowed[], one: Allowed): void {
  const isThere = allowed.some(({ group, resource }) => {
    return group === one.group && resource === one.resource;
  });
  if (!isThere) allowed.push(one);
}

function readAllowed(given: readonly string[]): Allowed[] | Failure {
  const kinds = [...new Set(given.flatMap((list) => list.split(",")).map((one) => one.trim()))];
  const allowed: Allowed[] = [];
  for (const kind of kinds) {
    const [group = "", resource = "", ...more] = kind.split("/");
    if (!GROUP.test(group) || !RESOURCE.test(resource) || more.length > 0) {
      const hint = "expected GROUP/RESOURCE, as batch/jobs or core/services, in the plural";
      return usage(`--allow ${kind}: ${hint}; --cluster-admin allows every kind`);
    }
    allowed.push({ group: group === "core" ? "" : group, resource });
  }
  return allowed;
}
