/**
 * The definition of the custom resource AgentPool. Only its own fields are described and checked:
 * the spec of the pod is kept as it was applied, so that the definition stays small enough for a
 * client-side apply and a PodSpec field that is newer than it survives. Pure.
 */
import { AGENT_POOL, POOL_NAME_MAX } from "../../schema/agentpool-resource.ts";
import { object, type Schema, text } from "./property.ts";
import { SPEC } from "./spec.ts";
import { STATUS } from "./status.ts";

/** A limit that needs no CEL, which clusters have since 1.25. */
const NAME: Schema = { type: "string", maxLength: POOL_NAME_MAX };

const ROOT: Schema = {
  ...object("A pool of worker pods that keeps a number of them idle.", {
    apiVersion: text("Version of this resource."),
    kind: text("Kind of this resource."),
    metadata: { type: "object", properties: { name: NAME } },
    spec: SPEC,
    status: STATUS,
  }),
  required: ["spec"],
};

/** Name, path and text of each number that `-o wide` adds. */
const NUMBERS: readonly (readonly [string, string, string])[] = [
  ["Min", ".spec.autoscaler.minReplicas", "Workers that are always kept"],
  ["Max", ".spec.autoscaler.maxReplicas", "Most workers"],
  ["Size", ".status.size", "Workers that count"],
  ["Idle", ".status.workers.Idle", "Workers without a claim"],
  ["Busy", ".status.workers.Running", "Workers with a claim"],
  ["Pending", ".status.workers.Pending", "Workers that have not joined yet"],
  ["Queued", ".status.queuedClaims", "Claims without a slot"],
];

const COLUMNS = [
  // A definition with columns of its own loses the one that is there by default.
  { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
  ...NUMBERS.map(([name, jsonPath, description]) => {
    return { name, type: "integer", description, priority: 1, jsonPath };
  }),
  {
    name: "Reason",
    type: "string",
    description: "Why the pool is, or is not, as it should be",
    priority: 1,
    jsonPath: '.status.conditions[?(@.type=="Ready")].reason',
  },
];

export const AGENT_POOL_CRD = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: AGENT_POOL.crd, labels: { "app.kubernetes.io/name": "navarch" } },
  spec: {
    group: AGENT_POOL.group,
    scope: "Namespaced",
    names: {
      kind: AGENT_POOL.kind,
      listKind: AGENT_POOL.listKind,
      plural: AGENT_POOL.plural,
      singular: AGENT_POOL.singular,
      shortNames: [AGENT_POOL.shortName],
      categories: ["all"],
    },
    versions: [
      {
        name: AGENT_POOL.version,
        served: true,
        storage: true,
        subresources: { status: {} },
        additionalPrinterColumns: COLUMNS,
        schema: { openAPIV3Schema: ROOT },
      },
    ],
  },
} as const;
