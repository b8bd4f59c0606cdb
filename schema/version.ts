/**
 * Version, commit and commit date of this program, which the build writes into a binary
 * (`build/product.ts`); from source, the version of package.json and `dev`.
 */
import { version } from "../package.json";

declare const BUILD_VERSION: string | undefined;
declare const BUILD_COMMIT: string | undefined;
declare const BUILD_DATE: string | undefined;

/** Semantic version without a leading `v`. */
export const VERSION = typeof BUILD_VERSION === "string" ? BUILD_VERSION : version;

/** Twelve hexadecimal digits, `+changed` if the tree had edits; `unknown` outside a checkout. */
export const COMMIT = typeof BUILD_COMMIT === "string" ? BUILD_COMMIT : "dev";

const date = typeof BUILD_DATE === "string" ? BUILD_DATE : "dev";
/** RFC 3339 time of the commit (or of `SOURCE_DATE_EPOCH`), `unknown` outside a checkout. */
export { date as BUILD_DATE };
