/** Keys of `scaling.autoscaler`, by its type. */
import * as v from "valibot";
import { LIMIT } from "../limit.ts";
import { count } from "../number.ts";
import { entriesOf, choice, duration, integer, number, own, type Table, text } from "./field.ts";
import type { ValueOf } from "./field.ts";

const nodes = { min: 0, max: LIMIT.nodesMax } as const;

export const WINDOW = {
  days: own("Days, `mon` or `monday`.", "list of days", { or: "every day" }),
  start_hour: own('Hour 0 to 23, or `"HH:MM"`.', "hour", {
    or: "required without `cron`",
    map: "start",
  }),
  end_hour: own('Hour 0 to 24, or `"HH:MM"`; may be past midnight.', "hour", {
    or: "required without `cron`",
    map: "end",
  }),
  cron: text("Instead of days and hours: when the window opens, in five fields.", { form: "cron" }),
  duration: duration("How long a window with `cron` stays open.", {
    min: 60_000,
    max: 366 * 86_400_000,
    or: "required with `cron`",
  }),
  min_nodes: integer("Fewest nodes in the window.", { ...nodes, required: true }),
  max_nodes: integer("Most nodes in the window.", { ...nodes, required: true }),
};

const percent = { min: 0, max: 100 } as const;

/** Readings of an external source expire after this many intervals. */
export const EXPIRY_INTERVALS = 3;

/** A boot takes 10 to 30 minutes: a smaller size must last before machines are given up for it. */
const SCALE_DOWN_AFTER = duration(
  "How long fewer nodes must be needed before the size falls, to the most needed in that time.",
  { min: 0, max: 86_400_000, default: 600_000 },
);

export const AUTOSCALER = {
  reactive: {
    scale_up_threshold: number("Grow above this utilisation.", {
      unit: "percent",
      ...percent,
      default: 80,
      map: "scale_up_at",
    }),
    scale_down_threshold: number("Shrink below this utilisation.", {
      unit: "percent",
      ...percent,
      default: 20,
      map: "scale_down_at",
    }),
    step: integer("Nodes added or removed at once.", { min: 1, default: 1 }),
  },
  queue: {
    jobs_per_node: integer("Jobs that one node serves.", { min: 1, default: 10 }),
    count: choice("Count pods, or the GPUs that they ask for.", ["pods", "gpus"], {
      default: "pods",
    }),
    scale_down_after: SCALE_DOWN_AFTER,
  },
  scheduled: {
    schedule: own("List of windows.", "list of mappings", { required: true, inner: () => WINDOW }),
    timezone: text("IANA name, for example `Europe/Oslo`.", { form: "time-zone", default: "UTC" }),
    fallback: own("Autoscaler that decides within the bounds.", "mapping", {
      inner: () => AUTOSCALERS,
    }),
  },
  predictive: {
    lookback_window: integer("Samples that make the trend.", { min: 2, max: 10_000, default: 10 }),
    growth_factor: number("Multiplier of the trend.", { above: 0, default: 1.2 }),
    horizon: duration("How far ahead the trend is drawn: what a new node takes to serve.", {
      min: 1_000,
      max: 86_400_000,
      or: "one evaluation",
    }),
    fallback: own("Autoscaler that decides where the trend buys nothing.", "mapping", {
      inner: () => AUTOSCALERS,
    }),
  },
  composite: {
    mode: choice("Which of the answers counts.", ["max", "min", "avg"], { default: "max" }),
    autoscalers: own("List of autoscalers.", "list of mappings", {
      required: true,
      also: ["strategies"],
      inner: () => AUTOSCALERS,
    }),
  },
  idle: {
    min_idle: integer("Free slots that are kept ready.", { min: 0, default: 1 }),
    max_idle: integer("Free slots above which idle nodes leave.", {
      min: 0,
      or: "`min_idle` + `slots_per_node` - 1, which is also the least",
    }),
    slots_per_node: integer("Jobs that one node serves at once.", {
      min: 1,
      max: 1_000,
      default: 1,
    }),
    idle_decay: duration("How long one node too many stays before it leaves.", { default: 60_000 }),
  },
  external: {
    source: choice("Where the number comes from.", ["prometheus", "http", "command"], {
      required: "one of prometheus, http, command",
    }),
    target_per_node: number("What one node serves; without it the number is the pool's size.", {
      above: 0,
    }),
    url: text("Address of Prometheus, or of a JSON document.", { form: "document" }),
    query: text("PromQL with one result (`prometheus`)."),
    pointer: text("JSON Pointer to the number, as `/queue/depth` (`http`).", { form: "pointer" }),
    command: text("Program and its arguments, separated by spaces; run without a shell.", {
      form: "program",
    }),
    token_env: text("Environment variable with the bearer token.", { form: "env" }),
    token_file: text("File with the bearer token, read again for each request."),
    username: text("With it the token is sent as this user's password."),
    ca_file: text("Certificates of the server's authority, PEM."),
    timeout: duration("Time that one reading has.", { min: 100, max: 55_000, default: 10_000 }),
    interval: duration("How often the source is read.", {
      min: 1_000,
      max: 86_400_000,
      default: 30_000,
    }),
    expiry: duration("Age from which a reading is unknown.", {
      min: 1_000,
      max: 604_800_000,
      or: `${EXPIRY_INTERVALS} × \`interval\``,
    }),
    scale_down_after: SCALE_DOWN_AFTER,
  },
} satisfies Record<string, Table>;

export type AutoscalerType = keyof typeof AUTOSCALER;
export const TYPES = Object.keys(AUTOSCALER) as AutoscalerType[];

/** Keys of all types. */
export const AUTOSCALERS: Table = {
  type: choice("Kind of autoscaler; each takes the keys named after it below.", TYPES, {
    required: true,
  }),
  ...Object.assign({}, ...Object.values(AUTOSCALER)),
};

type Plain<T extends AutoscalerType> = { type: T } & ValueOf<(typeof AUTOSCALER)[T]>;

const ScheduleWindow = v.object({
  /** 0 = Sunday … 6 = Saturday. */
  days: v.array(v.pipe(count, v.maxValue(6))),
  /** Minutes after midnight, start inclusive, end exclusive; end < start crosses midnight. */
  startMinute: count,
  endMinute: count,
  /** With `cron` the window opens at its instants for `durationMs`, and the hours are 0. */
  ...entriesOf(WINDOW),
});
export type ScheduleWindow = v.InferOutput<typeof ScheduleWindow>;

export type Autoscaler =
  | Plain<"reactive">
  | Plain<"queue">
  | Plain<"idle">
  | Plain<"external">
  | (Plain<"scheduled"> & { schedule: ScheduleWindow[]; fallback: Autoscaler | null })
  | (Plain<"predictive"> & { fallback: Autoscaler | null })
  | (Plain<"composite"> & { autoscalers: Autoscaler[] });

export const Autoscaler: v.GenericSchema<Autoscaler> = v.lazy(() => {
  const fallback = v.nullable(Autoscaler);
  const more = { schedule: v.array(ScheduleWindow), fallback, autoscalers: v.array(Autoscaler) };
  const types = Object.entries(AUTOSCALER).map(([type, keys]) => {
    const own = Object.entries(more).filter(([name]) => Object.hasOwn(keys, name));
    return v.object({ type: v.literal(type), ...entriesOf(keys), ...Object.fromEntries(own) });
  });
  return v.variant("type", types) as unknown as v.GenericSchema<Autoscaler>;
});
