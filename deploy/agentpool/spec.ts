/** The schema of `spec` of an AgentPool: its autoscaler, and the Pod that is its template. Pure. */
import {
  AUTOSCALER_FIELDS,
  AUTOSCALER_MAX,
  POOL_NAME_MAX,
} from "../../schema/agentpool-resource.ts";
import { KEPT, object, type Schema, text, texts, whole } from "./property.ts";

const AUTOSCALER: Schema = object(
  "How many workers there are. Without it the pool is static: none is created, and pods that an " +
    "operator creates may join.",
  Object.fromEntries(
    AUTOSCALER_FIELDS.map(({ name, default: value, minimum, text: what }) => [
      name,
      whole(what, {
        minimum,
        maximum: AUTOSCALER_MAX,
        ...(value === null ? {} : { default: value }),
      }),
    ]),
  ),
  {
    required: AUTOSCALER_FIELDS.flatMap((field) => (field.default === null ? [field.name] : [])),
    // Without `fieldPath` and `messageExpression`, which came later than CEL itself.
    "x-kubernetes-validations": [
      {
        rule: "self.maxReplicas >= self.minReplicas",
        message: "maxReplicas must be at least minReplicas",
      },
    ],
  },
);

const METADATA: Schema = object(
  "Metadata of each worker pod.",
  {
    name: text("Start of the pods' names. Without it the pool's name.", {
      maxLength: POOL_NAME_MAX,
    }),
    namespace: text("The pool's own namespace, or absent."),
    labels: {
      ...texts("Labels of each pod. At least one."),
      minProperties: 1,
    },
    annotations: texts("Annotations of each pod."),
    finalizers: {
      type: "array",
      description: "Finalizers of each pod.",
      items: { type: "string" },
    },
    // Programs that write a template often leave a null here.
    creationTimestamp: text("Ignored.", { format: "date-time", nullable: true }),
  },
  { required: ["labels"] },
);

const CONTAINERS: Schema = {
  type: "array",
  description: "Containers of the pod. At least one, each with a name.",
  minItems: 1,
  "x-kubernetes-list-type": "map",
  "x-kubernetes-list-map-keys": ["name"],
  items: {
    type: "object",
    required: ["name"],
    properties: { name: text("Name of the container.", { minLength: 1 }) },
    ...KEPT,
  },
};

const TEMPLATE: Schema = object(
  "The Pod that each worker is created from.",
  {
    apiVersion: text("v1, or absent.", { enum: ["v1"] }),
    kind: text("Pod, or absent.", { enum: ["Pod"] }),
    metadata: METADATA,
    spec: object(
      "Spec of each worker pod, see kubectl explain pod.spec.",
      { containers: CONTAINERS },
      { required: ["containers"], ...KEPT },
    ),
    status: { type: "object", description: "Ignored.", ...KEPT },
  },
  { required: ["metadata", "spec"] },
);

const INSTANCE: Schema = object(
  "Machines of a provider instead of pods. Reserved: this release creates none, and says so.",
  {
    provider: text("A provider of the control plane's configuration.", { minLength: 1 }),
    instanceType: text("What the provider sells.", { minLength: 1 }),
  },
  { required: ["provider", "instanceType"] },
);

export const SPEC: Schema = object(
  "What is wanted. The control plane never writes it.",
  { autoscaler: AUTOSCALER, template: TEMPLATE, instance: INSTANCE },
  { required: ["template"] },
);
