/** What the fleet costs: `GET /v1/cost`, by month or since a day (docs/money.md). */
import * as v from "valibot";
import type { CostView } from "../../../schema/cost-view.ts";
import { DAY_MS, dayOf, monthOf, type Span, spanOfMonth } from "../../core/cost/calendar.ts";
import { MONTHS_KEPT } from "../../core/cost/charge.ts";
import { viewCost } from "../view/cost.ts";
import type { RoutePorts, Route } from "./route.ts";
import { invalid, readQuery } from "./request.ts";
import { parseInstant } from "../../../schema/instant.ts";

const CostQuery = v.object({
  month: v.optional(v.pipe(v.string(), v.regex(/^\d{4}-(?:0[1-9]|1[0-2])$/, "expected YYYY-MM"))),
  since: v.optional(v.pipe(v.string(), v.isoDate("expected a day, YYYY-MM-DD"))),
});

export function spanOf({ month, since }: v.InferOutput<typeof CostQuery>, now: number): Span {
  if (month !== undefined && since !== undefined) {
    return invalid("month, since: give one of them, not both");
  }
  const span =
    since === undefined
      ? spanOfMonth(month ?? monthOf(now))
      : { from: parseInstant(`${since}T00:00:00Z`), to: dayOf(now).to };
  const [key, given] = since === undefined ? ["month", month ?? ""] : ["since", since];
  // A date that does not exist is read as a day of the next month.
  const isDay = since === undefined || new Date(span.from).toISOString().startsWith(since);
  if (!isDay) return invalid(`${key}: ${given} is no day`);
  if (span.from > now) return invalid(`${key}: ${given} is in the future`);
  const kept = new Date(now);
  const oldest = Date.UTC(kept.getUTCFullYear(), kept.getUTCMonth() - (MONTHS_KEPT - 1), 1);
  if (span.to - DAY_MS < oldest || span.from < oldest) {
    return invalid(`${key}: ${given} is before ${monthOf(oldest)}, the oldest month that is kept`);
  }
  return span;
}

export const costRoutes: readonly Route<RoutePorts>[] = [
  {
    at: "GET /v1/cost",
    access: "viewer",
    query: CostQuery,
    says: "what the fleet costs; `month` (YYYY-MM) or `since` (YYYY-MM-DD), UTC",
    run: (c, ports) => {
      const { reconciler, clock } = ports;
      const now = clock.wallMs();
      const span = spanOf(readQuery(c, CostQuery), now);
      const from = { fleet: reconciler.fleet(), config: reconciler.activeConfig(), now };
      const view: CostView = viewCost(from, span);
      return c.json(view);
    },
  },
];
