/**
 * Decodes XID 144–150 from two registers of their line (docs/reference/xid.md#nvlink-5). R575
 * changed the layout of the first register; both layouts give the same action, so the driver's
 * version is not needed. Pure.
 */
import * as v from "valibot";
import rulesFile from "./xid-nvlink5-rules.json" with { type: "json" };
import { count } from "../../schema/number.ts";

const IMMEDIATE = ["IGNORE", "RESET_GPU", "XID_154_EVAL"] as const;
export type NvlinkImmediate = (typeof IMMEDIATE)[number];

/** A 32-bit word in hexadecimal. */
const word = v.pipe(v.string(), v.regex(/^0x[0-9a-fA-F]{1,8}$/), v.transform(Number));

const Pattern = v.pipe(
  v.object({
    bits: v.pipe(v.string(), v.regex(/^[01-]{32}$/)),
    mask: word,
    value: word,
  }),
  v.check(
    (p) =>
      p.mask === Number.parseInt(p.bits.replaceAll("0", "1").replaceAll("-", "0"), 2) &&
      p.value === Number.parseInt(p.bits.replaceAll("-", "0"), 2),
    "mask and value must say the same as bits",
  ),
);

const Rule = v.object({
  id: v.string(),
  xid: v.pipe(count, v.minValue(144), v.maxValue(150)),
  unitV1: v.string(),
  unitV2: v.string(),
  v1: Pattern,
  v2: Pattern,
  errorStatus: v.nullable(v.array(word)),
  immediate: v.picklist(IMMEDIATE),
  promote: v.nullable(v.object({ v1: Pattern, v2: Pattern, immediate: v.picklist(IMMEDIATE) })),
  investigatory: v.nullable(v.string()),
  severity: v.picklist(["non_fatal", "link_fatal", "fatal"]),
});
export type Nvlink5Rule = v.InferOutput<typeof Rule>;

const RulesFile = v.object({
  schemaVersion: v.literal(1),
  catalogRevision: v.string(),
  rules: v.array(Rule),
});

export const NVLINK5_RULES: readonly Nvlink5Rule[] = v.parse(RulesFile, rulesFile).rules;

export type Nvlink5Format = "v1" | "v2";

export type Nvlink5Decode = {
  /** Rules that match, in the order of the sheet. */
  rules: string[];
  format: Nvlink5Format | "both";
  immediate: NvlinkImmediate;
};

const RANK: Record<NvlinkImmediate, number> = { IGNORE: 0, XID_154_EVAL: 1, RESET_GPU: 2 };

function matches(pattern: { mask: number; value: number }, intrInfo: number): boolean {
  return (intrInfo & pattern.mask) >>> 0 === pattern.value;
}

/** The action of one rule in one layout, or `null` if it does not match. */
function askRule(
  rule: Nvlink5Rule,
  format: Nvlink5Format,
  intrInfo: number,
  errorStatus: number,
): NvlinkImmediate | null {
  if (rule.errorStatus !== null && !rule.errorStatus.includes(errorStatus)) return null;
  if (rule.promote && matches(rule.promote[format], intrInfo)) return rule.promote.immediate;
  return matches(rule[format], intrInfo) ? rule.immediate : null;
}

/**
 * Decodes the first two words of a line, unsigned; `null` if no rule matches. The strongest action
 * of all matching rules counts; in the present data they never differ, as a test checks.
 */
export function decodeNvlink5(
  xid: number,
  intrInfo: number,
  errorStatus: number,
  formats: readonly Nvlink5Format[] = ["v1", "v2"],
): Nvlink5Decode | null {
  let found: Nvlink5Decode | null = null;
  for (const format of formats) {
    for (const rule of NVLINK5_RULES) {
      if (rule.xid !== xid) continue;
      const immediate = askRule(rule, format, intrInfo, errorStatus);
      if (immediate === null) continue;
      found ??= { rules: [], format, immediate };
      if (!found.rules.includes(rule.id)) found.rules.push(rule.id);
      if (found.format !== format) found.format = "both";
      if (RANK[immediate] > RANK[found.immediate]) found.immediate = immediate;
    }
  }
  return found;
}
