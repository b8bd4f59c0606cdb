/** Keys of `queue`: the demand queue. */
import { duration, integer } from "./field.ts";

export const QUEUE = {
  reserved_percent: integer("Share of each class's slots that only priority `high` may use.", {
    unit: "percent",
    min: 0,
    max: 90,
    default: 20,
  }),
  backlog_per_slot: integer("Pending tasks of a class for each of its slots; more get 429.", {
    min: 1,
    max: 1_000,
    default: 100,
  }),
  lease: duration("Silence after which a worker's attempt has failed.", {
    min: 1_000,
    default: 60_000,
  }),
};
