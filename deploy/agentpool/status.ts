/** The schema of `status` of an AgentPool. Pure. */
import { object, type Schema, text, whole } from "./property.ts";

const INSTANT = { format: "date-time" };

const CONDITION: Schema = {
  ...object("One condition.", {
    type: text("Ready, Gated, AtMax, ScaleUpBlocked, InvalidTemplate or Draining."),
    status: text("Whether it holds.", { enum: ["True", "False", "Unknown"] }),
    observedGeneration: whole("Generation of the pool that it is about."),
    lastTransitionTime: text("When its status last changed.", INSTANT),
    reason: text("Why, in one word."),
    message: text("Why, for people."),
  }),
  required: ["type", "status"],
};

export const STATUS: Schema = object("What there is. The control plane writes it.", {
  observedGeneration: whole("Generation of the pool that was acted upon."),
  size: whole("Workers that count: idle, busy, pending and unknown ones."),
  idleSlots: whole("Free slots, those of pending workers too, less the queued claims."),
  queuedClaims: whole("Claims that wait for a slot."),
  workers: {
    type: "object",
    description: "Number of workers in each state.",
    additionalProperties: { type: "integer" },
  },
  effective: object("Values that are used in place of those of the spec.", {
    maxIdle: whole("Free slots above which idle workers are removed at once."),
  }),
  lastAllocationError: object("The last worker that could not be created.", {
    reason: text("QuotaExceeded, Forbidden, AdmissionDenied, … in one word."),
    message: text("What the cluster answered."),
    at: text("When.", INSTANT),
  }),
  conditions: {
    type: "array",
    description: "Conditions, one of each type.",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["type"],
    items: CONDITION,
  },
});
