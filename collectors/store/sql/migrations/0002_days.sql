-- Rollups of days and of conditions came. They lie in the deployments' schemas, and every rollup
-- is made anew there when a store of the release before is opened: an older modelwatch must not
-- add to them.
UPDATE deployments SET rollup_key = 'release 1' WHERE rollup_key <> '';
