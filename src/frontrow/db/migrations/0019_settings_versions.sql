-- A line's settings are replaced only at the version that the caller knows: one more parameter
-- depends: 0018_repeated_rotations

-- migrate: apply

DROP FUNCTION IF EXISTS waiting_room_configure(
    uuid, jsonb, int, int, timestamptz, timestamptz, text, text
);

-- migrate: rollback

