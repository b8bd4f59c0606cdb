/**
 * The catalogue of XID and SXid numbers, embedded as versioned data: `xid-catalog.json` (vendor
 * sheet `Xid-Catalog.xlsx` and the headers of open-gpu-kernel-modules), `xid-nvlink5-rules.json`
 * (the sheet's decode of 144–150) and `sxid.json` (Fabric Manager user guide, appendix D, and the
 * driver's names). Each file names its sources and revision. An invalid file stops the process.
 */
import * as v from "valibot";
import sxidFile from "./sxid.json" with { type: "json" };
import xidFile from "./xid-catalog.json" with { type: "json" };
import { count } from "../../schema/number.ts";

export const CATALOG_ACTIONS = [
  "ignore",
  "restart_app",
  "reset_gpu",
  "reboot_node",
  "replace_node",
  "rma",
  /** Resolved by the announced recovery action. */
  "follow_154",
  /** Resolved by the registers in the line. */
  "decode_nvlink5",
  "unknown",
] as const;
export type CatalogAction = (typeof CATALOG_ACTIONS)[number];

const WORKFLOWS = ["xid13", "xid31", "xid45", "xid48", "xid154", "nvlink4", "nvlink5"] as const;

const code = count;
const text = v.pipe(v.string(), v.minLength(1));

const XidEntry = v.object({
  code,
  mnemonic: text,
  driverMnemonic: v.optional(text),
  name: text,
  /** `active` = the sheet gives a bucket; `driver_only` = only the driver's header knows it. */
  status: v.picklist(["active", "unbucketed", "sheet_unused", "driver_only"]),
  since: v.nullable(text),
  definedIn595: v.boolean(),
  appliesTo: v.nullable(v.array(text)),
  /** `null` for a code that the sheet does not list. */
  nvidia: v.nullable(
    v.object({
      immediate: v.nullable(text),
      investigatory: v.nullable(text),
      /** Driver branch since which XID 154 accompanies the code. */
      xid154: v.nullable(text),
    }),
  ),
  policy: v.object({
    action: v.picklist(CATALOG_ACTIONS),
    scope: v.picklist(["app", "gpu", "gpu_links", "node"]),
    workflow: v.optional(v.picklist(WORKFLOWS)),
    deferred: v.optional(v.picklist(CATALOG_ACTIONS)),
    deferredWhen: v.optional(text),
    onlyIf: v.optional(text),
    clears: v.optional(v.array(code)),
    detailOf: v.optional(code),
    note: v.optional(text),
  }),
});
export type XidEntry = v.InferOutput<typeof XidEntry>;

const XidFile = v.object({
  schemaVersion: v.literal(1),
  catalogRevision: text,
  xids: v.pipe(
    v.record(text, XidEntry),
    v.check(
      (xids) => Object.entries(xids).every(([key, entry]) => key === String(entry.code)),
      "every key must be the code of its entry",
    ),
  ),
});

const SXID_CLASSES = ["non_fatal", "potential_fatal", "always_fatal"] as const;
export type SxidClass = (typeof SXID_CLASSES)[number];

const SxidFile = v.object({
  schemaVersion: v.literal(1),
  catalogRevision: text,
  codes: v.array(
    v.object({
      sxid: code,
      name: text,
      driverName: v.nullable(text),
      class: v.picklist(SXID_CLASSES),
    }),
  ),
  undocumentedDriverNames: v.record(text, text),
});

/** An SXid: `class` is null for one that only the driver's header knows. */
export type SxidEntry = { code: number; name: string; class: SxidClass | null };

const xids = v.parse(XidFile, xidFile);
const sxids = v.parse(SxidFile, sxidFile);

const byXid = new Map(Object.values(xids.xids).map((entry) => [entry.code, entry]));

const bySxid = new Map<number, SxidEntry>();
for (const [key, name] of Object.entries(sxids.undocumentedDriverNames)) {
  bySxid.set(Number(key), { code: Number(key), name, class: null });
}
for (const entry of sxids.codes) {
  bySxid.set(entry.sxid, { code: entry.sxid, name: entry.name, class: entry.class });
}

/** The entry of an XID number, or `null` for a code newer than the catalogue. */
export function xid(number: number): XidEntry | null {
  return byXid.get(number) ?? null;
}

/** The entry of an SXid number, or `null` for a code newer than the catalogue. */
export function sxid(number: number): SxidEntry | null {
  return bySxid.get(number) ?? null;
}

/** By number. */
export function allXids(): readonly XidEntry[] {
  return [...byXid.values()].sort((a, b) => a.code - b.code);
}

/** By number. */
export function allSxids(): readonly SxidEntry[] {
  return [...bySxid.values()].sort((a, b) => a.code - b.code);
}
