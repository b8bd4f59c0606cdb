ALTER TABLE audit ADD COLUMN verb text;
--> statement-breakpoint
ALTER TABLE audit ADD COLUMN kind text;
--> statement-breakpoint
ALTER TABLE audit ADD COLUMN namespace text;
--> statement-breakpoint
ALTER TABLE audit ADD COLUMN detail text;
