-- When the message of a replay was first written: its body says so, and is the same each time. Null where that is created_at.
ALTER TABLE webhook_deliveries ADD COLUMN message_at timestamptz;
