ALTER TABLE webhook_deliveries DROP COLUMN message_at;
