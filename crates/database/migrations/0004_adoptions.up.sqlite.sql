-- How far the rows of another system were taken over, by sort of row. A row is moved in the transaction that takes over
-- what it counts, so that nothing is taken over twice or left out.
CREATE TABLE database_adoptions (
    what        TEXT    NOT NULL PRIMARY KEY CHECK (what IN ('events', 'records', 'limits')),
    -- The other system's name of what was taken over last, in its order.
    last_id     TEXT,
    done        INTEGER NOT NULL CHECK (done >= 0),
    -- How many of these had something that could not be taken over as it was.
    flawed      INTEGER NOT NULL CHECK (flawed BETWEEN 0 AND done),
    begun_us    INTEGER NOT NULL,
    finished_us INTEGER
) STRICT;
